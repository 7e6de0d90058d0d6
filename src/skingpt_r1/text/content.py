"""Whether a text says anything clinical at all, before anybody judges how well it says it.

Blank fields, placeholders, headings alone, messages of servers and programs, and refusals say
nothing. A short answer (`melanoma`, `Dx: BCC`) says something; so does what is not recognised.
"""

import re
import unicodedata

from skingpt_r1.text.conclusions import names_disease
from skingpt_r1.text.findings import read_findings
from skingpt_r1.text.tokens import vocabulary, without_invisible

NO_WORDS = "it has no words"
_ERROR = "it is an error message"
_REFUSAL = "it declines to answer"
_PLACEHOLDER = "it has headings, placeholders or phrases alone"

# Findings that words of other matters name as well (`Too Many Requests`, `PATCH`) are left out.
_SEEN = frozenset({"colour", "morphology", "surface"})
_LONGEST_WORD = 60
_LONGEST_TEXT = 50_000  # characters that are looked at; no judge reads more
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
# A text of nothing but these words says nothing clinical, in whatever order they stand.
_EMPTY_WORDS = frozenset(_WORD.findall(vocabulary()["empty"]))
# Chinese and Japanese write without spaces: "data missing", "no content", "not available".
_EMPTY_HAN = re.compile(
    r"(?:数据|數據|数値|资料|資料|信息|資訊|情報|内容|內容|答案|回答|结果|結果|诊断|診斷|診断|描述|图像|图片|データ"
    r"|缺失|缺少|缺|暂|暫|无|無|没有|沒有|未知|未|不明|不详|不詳|不|可用|适用|適用|提供|填写|填寫|为|為|空|已|的|或"
    r"|なし|ありません|該当|利用|できません|未記入|欠損|欠落|が|は|を|に|の|値|白)+"
)
# Words that a program writes when something went wrong.
_FAULT = re.compile(
    r"\b(?:error|errors|exception|failed|failure|time[ds]?[\s-]?out|unavailable|overloaded|refused"
    r"|denied|unauthori[sz]ed|forbidden|exceeded|traceback|gateway|quota|rate[\s-]limit\w*"
    r"|too many requests|out of memory|segmentation fault|not found|reset by peer"
    r"|fehler|erreur|errore|erro|fout|fel|ошибка|hata"
    r"|[45]\d\d\s[A-Z]\w+|\w{0,50}(?:Error|Exception|Timeout))\b"
    r"|错误|錯誤|エラー|오류|失败|失敗",
    re.IGNORECASE,
)
_PAGE = re.compile(r"\s*(?:<!doctype html|<html|<\?xml)", re.IGNORECASE)
# Between statements; after a contrast a refusal may go on to answer.
_CLAUSE = re.compile(
    r"[.!?;:。！？；：，\n]|\b(?:but|however|although|though|nevertheless|still|yet|aber|pero|mais|ma|mas)\b"
    r"|但是?|しかし|ですが",
    re.IGNORECASE,
)
_DECLINES = re.compile(
    r"\b(?:(?:can|could|will|do|am|are|is)\s?not|can't|couldn't|won't|don't|i'm not|unable to"
    r"|must decline|decline to|refuse to|not (?:able|allowed|permitted|qualified)"
    r"|as an? (?:ai|artificial|language)|sorry|apologi[sz]e|lo siento|no puedo|es tut mir leid"
    r"|ich kann|entschuldigung|désolée?|je ne peux|mi dispiace|non posso|desculpe|não posso"
    r"|извините|не могу)\b"
    r"|抱歉|对不起|對不起|无法|無法|不能|申し訳|できません|죄송|할 수 없",
    re.IGNORECASE,
)
_HELPS = re.compile(r"\b(?:help|assist|comply|support)\b", re.IGNORECASE)
_HAN_DISEASE = re.compile(r"[癌瘤疹炎疣癣癬痣疮瘡疱苔斑痤銀银疖疥麻腫肿]")
_TAG = re.compile(r"<[^<>]{0,300}>")
_KEY = re.compile(r"\"\w{1,60}\"\s{0,3}:")


def no_content(text: str) -> str | None:
    """Why a text says nothing clinical that could be judged; None when it says something."""
    shown = without_invisible(unicodedata.normalize("NFKC", text[:_LONGEST_TEXT]))
    seen = shown.replace("’", "'")
    is_page = _PAGE.match(seen) is not None
    plain = _KEY.sub(" ", _TAG.sub(" ", seen) if is_page else seen)
    if not _WORD.search(plain):
        return NO_WORDS
    clauses = [clause for clause in _CLAUSE.split(plain) if clause and not clause.isspace()]
    kept = [words for clause in clauses if not _declines(clause, words := _words(clause))]
    if any(map(_is_clinical, kept)):
        return None
    if is_page or _FAULT.search(plain):
        return _ERROR
    if len(kept) < len(clauses):
        return _REFUSAL
    return None if any(kept) else _PLACEHOLDER


def _declines(clause: str, words: str) -> bool:
    """Whether a clause refuses, and does not report what cannot be seen or excluded."""
    if _DECLINES.search(clause) is None:
        return False
    return _HELPS.search(clause) is not None or not _is_clinical(words)


def _is_clinical(words: str) -> bool:
    """Whether words name a disease or what is seen."""
    named = names_disease(words) or _HAN_DISEASE.search(words) is not None
    return named or not _SEEN.isdisjoint(read_findings(words))


def _words(clause: str) -> str:
    """The words of a clause that may say something."""
    return " ".join(
        word
        for word in _WORD.findall(clause.lower())
        if word not in _EMPTY_WORDS
        and len(word) <= _LONGEST_WORD
        and (len(word) > 1 if word.isascii() else _EMPTY_HAN.fullmatch(word) is None)
    )
