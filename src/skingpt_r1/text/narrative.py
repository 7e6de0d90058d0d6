"""The one parser and formatter of model text.

Our models write the canonical form, on one line:

    <think> Observation: ... Reasoning: ... Differential: a; b </think> <answer> diagnosis </answer>

The differential may be absent. What others write is read by `reading.py`. A text gives a
`Narrative` or a `NarrativeError` with a reason; the diagnosis is never guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from skingpt_r1.errors import NarrativeError
from skingpt_r1.text import reading as narrative_reading
from skingpt_r1.text.tokens import control_token

# reason code -> what it means; every NarrativeError carries one of these.
REASONS: Mapping[str, str] = MappingProxyType(
    {**narrative_reading.REASONS, "not_canonical": "a field cannot be part of the canonical form"}
)

MARKS = ("<think>", "</think>", "<answer>", "</answer>")
_TITLES = ("Observation:", "Reasoning:", "Differential:")


@dataclass(frozen=True, slots=True)
class Narrative:
    """An explicit chain of reasoning and where it ends.

    Attributes:
        observation: what is seen; empty when the text does not set it apart.
        reasoning: how the observation leads to the diagnosis; empty when there is none.
        diagnosis: the conclusion, as the text names it.
        differential: the other diagnoses considered, in order.
        text: the source text as given; the canonical text when made by `make_narrative`.
    """

    observation: str
    reasoning: str
    diagnosis: str
    differential: tuple[str, ...]
    text: str


def format_narrative(
    observation: str, reasoning: str, diagnosis: str, differential: Sequence[str] = ()
) -> str:
    """The canonical text of a narrative; white space in the fields becomes single spaces.

    Raises:
        NarrativeError: reason `not_canonical`: a field is empty where it must not be, or holds a
            tag, a section title, a control token or, in the differential, a semicolon.
    """
    return make_narrative(observation, reasoning, diagnosis, differential).text


def make_narrative(
    observation: str, reasoning: str, diagnosis: str, differential: Sequence[str] = ()
) -> Narrative:
    """A narrative with its canonical text; see `format_narrative`."""
    others = tuple(_field("differential", item, forbidden=(";",)) for item in differential)
    seen = _field("observation", observation)
    thought = _field("reasoning", reasoning)
    named = _field("diagnosis", diagnosis)
    listed = f" Differential: {'; '.join(others)}" if others else ""
    text = (
        f"<think> Observation: {seen} Reasoning: {thought}{listed} </think>"
        f" <answer> {named} </answer>"
    )
    return Narrative(seen, thought, named, others, text)


def parse_narrative(text: str) -> Narrative:
    """Read a model text.

    Args:
        text: anything; the canonical form is read exactly, other forms by their own conclusion.

    Raises:
        NarrativeError: the text has no diagnosis that it clearly means; `.reason` is in `REASONS`.
    """
    canonical = _parse_canonical(text)
    if canonical is not None:
        return canonical
    reading = narrative_reading.read(text)
    return Narrative(
        reading.observation, reading.reasoning, reading.diagnosis, reading.differential, text
    )


def _parse_canonical(text: str) -> Narrative | None:
    body, answered, answer = text.partition(" </think> <answer> ")
    head, _, tail = body.partition(" Reasoning: ")
    if not (
        answered and head.startswith("<think> Observation: ") and answer.endswith(" </answer>")
    ):
        return None
    reasoning, listed, others = tail.partition(" Differential: ")
    try:
        narrative = make_narrative(
            head.removeprefix("<think> Observation: "),
            reasoning,
            answer.removesuffix(" </answer>"),
            others.split("; ") if listed else (),
        )
    except NarrativeError:
        return None
    return narrative if narrative.text == text else None


def _field(name: str, value: str, forbidden: tuple[str, ...] = ()) -> str:
    plain = " ".join(value.split())
    if not plain:
        raise NarrativeError("not_canonical", f"the {name} is empty; every field needs words")
    for mark in (*MARKS, *_TITLES, *forbidden):
        if mark in plain:
            raise NarrativeError(
                "not_canonical", f"the {name} contains {mark!r}, which separates the fields"
            )
    if token := control_token(plain):
        raise NarrativeError(
            "not_canonical", f"the {name} contains the control token {token!r}; remove it"
        )
    return plain
