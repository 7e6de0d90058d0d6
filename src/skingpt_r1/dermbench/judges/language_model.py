"""A language model as judge, against the reference; named as inspect-ai names it, or by a URL.

The calls are those of DermCoT's narrators: the same retries, ledger, cost limit and cache. A reply
without a readable verdict is unscored with its reason, and is asked for again with another seed.
For research, not for diagnosis.

The core of the task (two passages, six scores, JSON with justifications) is the paper's; the words
and the fences are ours. Both passages stand between marks that they cannot close; a long candidate
is cut from the front, as its conclusion stands at the end. A verdict is to carry a mark that only
the judge is told, so that scores which a candidate holds are never taken for the judge's.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from jinja2 import Template

from skingpt_r1.dermbench.judges.judge import JudgeOptions, JudgeTask, record_verdict
from skingpt_r1.dermbench.records import Judgement, ProtocolName
from skingpt_r1.errors import NarratorError
from skingpt_r1.llm.ask import Prompt, prompt_sha256
from skingpt_r1.llm.budget import ApiRecipe, CallsRecipe, Ledger
from skingpt_r1.llm.models import ChatModel, open_chat_model
from skingpt_r1.text.rubric import DIMENSIONS, Protocol, Scores, Unscored, parse_scores
from skingpt_r1.text.tokens import fence

MOST_CHARACTERS = 20_000  # of a candidate that are shown, its last

_PROMPT = Template(Path(__file__).with_name("prompt.jinja").read_text("utf-8"))
_MARK_LETTERS = 16  # nobody finds a text that holds its own mark


class JudgePrompt(NamedTuple):
    """A prompt, whether its candidate was cut from the front, and what the verdict is to carry."""

    text: str
    cut: bool
    mark: str


def judge_prompt(
    candidate: str, reference: str, protocol: Protocol, *, candidate_first: bool = False
) -> JudgePrompt:
    """The prompt for one candidate, which is never trusted.

    `candidate_first` shows it before the reference, to measure the effect of the order.
    """
    cut = len(candidate) > MOST_CHARACTERS
    shown = f"[...] {candidate[-MOST_CHARACTERS:]}" if cut else candidate
    passages = [("Reference", fence(reference)), ("Candidate", fence(shown))]
    if candidate_first:
        passages.reverse()
    mark = verdict_mark(candidate, reference)
    text = _PROMPT.render(
        passages=passages, protocol=protocol.value, mark=mark, dimensions=DIMENSIONS
    )
    return JudgePrompt(text, cut, mark)


def verdict_mark(candidate: str, reference: str) -> str:
    """A word that is the same in every run of a question, and that the candidate cannot know.

    It is made from the whole candidate and from the reference, so that no text holds its own.
    """
    texts = f"{len(candidate)}:{candidate}{reference}"
    return hashlib.sha256(texts.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_LETTERS]


CANDIDATE_FIRST = " (candidate first)"
MOST_ATTEMPTS = 3
MOST_TOKENS = 4096  # of a reply: judges that think need them


class LLMJudge:
    """Asks a language model for six scores; several calls at once, judgements in order.

    `narrator` makes the calls, `api` goes into `judge.json`, `today` gives the day (ISO 8601).
    """

    needs_reference = True
    most_attempts = MOST_ATTEMPTS

    def __init__(
        self,
        narrator: ChatModel,
        protocol: Protocol,
        api: ApiRecipe,
        *,
        candidate_first: bool = False,
        today: Callable[[], str] | None = None,
    ) -> None:
        self._narrator = narrator
        self._protocol = protocol
        self._api = api
        self._candidate_first = candidate_first
        self._today = today or (lambda: datetime.now(UTC).date().isoformat())

    @property
    def name(self) -> str:
        """The model as it was named, and the order of the passages where it is the unusual one."""
        return self._narrator.name + (CANDIDATE_FIRST if self._candidate_first else "")

    @property
    def protocol(self) -> ProtocolName:
        """The scale that is asked for."""
        return self._protocol.value

    @property
    def settings(self) -> dict[str, object]:
        """What is asked for, and the hash of the prompt's frame."""
        frame = judge_prompt("", "", self._protocol, candidate_first=self._candidate_first)
        return {"api": self._api.model_dump(mode="json"), "prompt": prompt_sha256(frame.text)}

    def judge(self, tasks: Sequence[JudgeTask]) -> Iterator[Judgement]:
        """Judgements in the order of the tasks.

        Raises:
            CostError: the next call could pass the limit; all judgements before it were given.
            NarratorError: the provider refuses every call, or too many failed in a row.
        """
        prompts = [
            judge_prompt(
                task.answer.text,
                task.question.reference or "",
                self._protocol,
                candidate_first=self._candidate_first,
            )
            for task in tasks
        ]
        calls = [
            Prompt(prompt.text, (), _seed(task, self._protocol))
            for task, prompt in zip(tasks, prompts, strict=True)
        ]
        replies = self._narrator.ask(calls)
        for task, prompt, reply in zip(tasks, prompts, replies, strict=True):
            verdict: Scores | Unscored
            if reply.problem is None:
                verdict = read_verdict(
                    reply.text, task.answer.text, self._protocol, mark=prompt.mark
                )
            else:
                verdict = Unscored(reply.problem)
            yield record_verdict(
                self,
                task,
                verdict,
                judged_on=self._today(),
                reply=reply.text or reply.unused_text,
                cut=prompt.cut,
            )


def open_llm_judge(
    model: str, options: JudgeOptions, ledger: Ledger, calls: CallsRecipe | None = None
) -> LLMJudge:
    """A language model (`<provider>/<model>` or `<URL>#<model>`) as judge, with its own sampling.

    Checked as far as that goes without a call. `calls` (connections, retries) has the prices of
    the options by default.

    Raises:
        NarratorError: the extra is not installed, the name is not known, or the key is missing.
        CostError: the ledger has a limit, and there is no price for this model.
    """
    api = ApiRecipe(temperature=None, max_tokens=MOST_TOKENS)
    calls = calls or CallsRecipe(prices=dict(options.prices))
    try:
        narrator = open_chat_model(model, api=api, calls=calls, ledger=ledger)
    except NarratorError as error:
        raise NarratorError(f"judge {model!r} cannot be asked: {error}") from error
    return LLMJudge(narrator, options.protocol, api, candidate_first=options.candidate_first)


def read_verdict(
    reply: str, candidate: str, protocol: Protocol, *, mark: str = ""
) -> Scores | Unscored:
    """The judge's verdict: the one with the mark, else the last that is no quotation.

    `mark` is empty for replies to a prompt without one.
    """
    return parse_scores(reply, protocol, scale=protocol.high, judged=candidate, mark=mark)


def _seed(task: JudgeTask, protocol: Protocol) -> int:
    """Each repeat and attempt has a seed of its own."""
    name = f"{task.question.id}:{protocol.value}:{task.repeat}:{task.attempt}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) >> 1
