"""Which verdicts of a reply are the judge's own, and which it merely quotes from what it judges.

A judged text may hold score lines or JSON of its own, and a judge may repeat them in another order
or form. Values are compared, not letters. A verdict that carries the mark, which only the judge was
told, is the judge's whatever else stands in the reply.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from skingpt_r1.text.rubric_numbers import plain_digits, read_score
from skingpt_r1.text.verdicts import PLACES, Verdict, find_verdicts, title_name

_NAMES = "|".join(sorted(map(re.escape, PLACES), key=len, reverse=True)).replace(r"\ ", r"[\s_-]")
_CLAIM = re.compile(
    rf"\b({_NAMES})(?:[\s_]score)?[\"'”*_`\s)]{{0,6}}(?:[:=|,-]|\bis\b)[\s\"'“{{*_`]{{0,9}}"
    r"(?:(?:score|rating|value)[\"'”]?\s?:\s?[\"'“]?)?(?=[+\d.])",
    re.IGNORECASE,
)
_OWN_WORDS = re.compile(r"\b(?:i|my|mine)\b", re.IGNORECASE)
_QUOTING_WORDS = re.compile(
    r"\b(?:claim\w*|say\w*|said|quot\w+|stat(?:es|ed)|writes|wrote|written|contain\w*|includ\w+"
    r"|assert\w*|itself|gives|asks|asked|requests?|instruct\w*|inject\w+|embedd\w+|hidden)\b"
    r"|['’]s\s(?:own\s)?(?:scores?|numbers|verdict)",
    re.IGNORECASE,
)
_LONGEST_LEAD = 300
_LOOKED_AT = 60  # characters behind a name in which a claimed score stands


def own_verdicts(reply: str, verdicts: Sequence[Verdict], judged: str) -> list[Verdict]:
    """The verdicts that are not quotations of claims in the judged text.

    A verdict with a score that is claimed nowhere is the judge's. One that can be put together from
    claims is the judge's when it is said as a judge says it, for judges may agree with a claim.

    Args:
        reply: of the judge.
        verdicts: in it, in order.
        judged: the whole text that was judged.
    """
    claims = _claims(judged)
    single = {pair for claim in claims for pair in claim.items()}
    own = [v for v in verdicts if not (_values(v) and _values(v).items() <= single)]
    if any(verdict.is_complete for verdict in own):
        return [_without_claimed_overall(verdict, single) for verdict in own]
    # All that is whole can be put together from claims.
    whole = [verdict for verdict in verdicts if verdict.is_complete]
    material = _bare(judged)
    agreeing = [verdict for verdict in whole if _sounds_own(reply, verdict, material)]
    unlike = [
        verdict
        for verdict in whole
        if _values(verdict) not in map(_dimensions, claims)
        and not _QUOTING_WORDS.search(_lead(reply, verdict))
    ]
    return agreeing[:1] or unlike[-1:] or own


def _without_claimed_overall(verdict: Verdict, single: set[tuple[int | None, float]]) -> Verdict:
    """Titled lines without an overall score that may be a quotation below them."""
    kept = tuple(
        entry
        for entry in verdict.entries
        if verdict.source or entry.dimension is not None or (None, entry.on_five) not in single
    )
    return replace(verdict, entries=kept)


def marked_verdicts(reply: str, verdicts: Sequence[Verdict], mark: str) -> list[Verdict]:
    """The verdicts with the mark in them, or on a line of its own that leads to them."""
    line = re.compile(rf"\W*(?:mark\W*)?{re.escape(mark)}\W*", re.IGNORECASE)
    ends = {verdict.end for verdict in verdicts}
    found = []
    for verdict in verdicts:
        before, _, lead = reply[: verdict.start].rstrip().rpartition("\n")
        # Between two verdicts a mark may belong to either.
        leads = line.fullmatch(lead[:_LONGEST_LEAD]) and len(before.rstrip()) not in ends
        if mark in verdict.source or leads:
            found.append(verdict)
    return found


def _claims(text: str) -> list[dict[int | None, float]]:
    """The scores that a text claims, wherever they stand in it; a run ends where one changes."""
    runs = [_values(verdict, overall=True) for verdict in find_verdicts(text)]
    run: dict[int | None, float] = {}
    plain = plain_digits(text)
    for title in _CLAIM.finditer(plain):
        place = PLACES[title_name(title[1])]
        score = read_score(plain[title.end() : title.end() + _LOOKED_AT].partition("\n")[0])
        if score is None or score.on_five is None:
            continue
        if run.get(place, score.on_five) != score.on_five:
            runs.append(run)
            run = {}
        run[place] = score.on_five
    return [*runs, run]


def _values(verdict: Verdict, *, overall: bool = False) -> dict[int | None, float]:
    return {
        entry.dimension: entry.on_five
        for entry in verdict.entries
        if entry.on_five is not None and (overall or entry.dimension is not None)
    }


def _dimensions(claim: dict[int | None, float]) -> dict[int | None, float]:
    return {place: value for place, value in claim.items() if place is not None}


def _sounds_own(reply: str, verdict: Verdict, material: str) -> bool:
    """Whether a verdict that agrees with a claim is said in the judge's own words."""
    lead = _lead(reply, verdict)
    if not re.search(r"\w", lead):
        return True
    if _QUOTING_WORDS.search(lead) or _bare(lead) in material:
        return False
    said = [entry.rationale for entry in verdict.entries if re.search(r"\w", entry.rationale)]
    is_new = bool(said) and not any(_bare(words) in material for words in said)
    return is_new or _OWN_WORDS.search(lead) is not None


def _lead(reply: str, verdict: Verdict) -> str:
    """The line that leads to a verdict; empty where it begins the reply."""
    before = reply[: verdict.start].rstrip("`jsonJSON# \n\t")
    return before.rpartition("\n")[2][-_LONGEST_LEAD:]


def _bare(text: str) -> str:
    """Letters, digits and signs of numbers alone: marks, quotes and spaces change in quoting."""
    return re.sub(r"[^a-z0-9./]+", "", text.lower())
