"""The cases of a run for the report's browser, one in memory at a time."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from skingpt_r1.dermbench.classification.match import MatchedLabel
from skingpt_r1.dermbench.questions import benchmark_title, data_root
from skingpt_r1.dermbench.reading import NOT_ASKED, RunReading, Said, answer_files
from skingpt_r1.dermbench.record_index import RecordIndex
from skingpt_r1.dermbench.records import Answer, Judgement, Question
from skingpt_r1.dermbench.report.data import CaseAnswer, ReportCase, Verdict
from skingpt_r1.dermbench.report.wording import percent
from skingpt_r1.dermbench.skin_tone import type_name
from skingpt_r1.errors import ImageError
from skingpt_r1.llm.data_uri import picture_uri

SHOWN_SIDE = 256  # longest side of a picture in the report, pixels
SHOWN_QUALITY = 80  # of its JPEG: half the bytes of what a model is sent


def report_cases(reading: RunReading, *, pictures: bool = True) -> Iterator[ReportCase]:
    """Every question with what was said and judged, in their order.

    Args:
        reading: the run; its texts are read again from its files.
        pictures: embed the pictures whose licence allows it.
    """
    root = data_root(reading.folder)
    with ExitStack() as stack:
        answers = {
            name: stack.enter_context(index) for name, index in answer_files(reading).items()
        }
        judgements = {
            path: stack.enter_context(RecordIndex(path, Judgement))
            for path in dict.fromkeys(
                one.path for systems in reading.judged.values() for one in systems.values()
            )
        }
        for question in reading.questions:
            picture, missing = _picture(question, root) if pictures else (None, "not asked for")
            yield ReportCase(
                id=question.id,
                benchmark=benchmark_title(question),
                label=question.label,
                answers=tuple(
                    _answer(reading, question, name, answers[name], judgements)
                    for name in reading.systems
                ),
                reference=question.reference,
                findings=question.findings,
                tone=_tone(question),
                picture=picture,
                no_picture=missing,
            )


def _answer(
    reading: RunReading,
    question: Question,
    system: str,
    answers: RecordIndex[Answer],
    judgements: dict[Path, RecordIndex[Judgement]],
) -> CaseAnswer:
    said = reading.said[system].get(question.id)
    if said is None:
        return CaseAnswer(system=system, text="", problem=NOT_ASKED)
    verdicts = []
    for systems in reading.judged.values():
        if system in systems:
            index = judgements[systems[system].path]
            places = systems[system].places.get(question.id, [])
            verdicts += [_verdict(index.at(place)) for place in places]
    return CaseAnswer(
        system=system,
        text=answers.at(said.place).text,
        problem=said.problem,
        outcome=_outcome(said, question.label),
        verdicts=tuple(verdicts),
    )


def _outcome(said: Said, label: str) -> str | None:
    """How what is named stands to the label; in classification also what is the likeliest."""
    if said.verdict is not None:
        return said.verdict.match.value
    if said.matched is None:
        return None
    named = _named(said.matched, label)
    if said.weighed is None or said.chances is None:
        return named
    return f"{named}; likeliest: {_named(said.weighed, label)}, at {percent(max(said.chances), 0)}"


def _named(match: MatchedLabel, label: str) -> str:
    if match.label is None:
        return f"no label ({match.reason})"
    return f"{match.label}, {'right' if match.label == label else 'wrong'}"


def _verdict(record: Judgement) -> Verdict:
    return Verdict(
        judge=record.judge,
        protocol=record.protocol,
        scores=record.scores,
        repeat=record.repeat,
        unscored=record.unscored,
        rationales=record.rationales,
        cut=record.cut,
    )


def _tone(question: Question) -> str | None:
    if question.tone is not None:
        return question.tone.value
    if question.fitzpatrick is not None:
        return f"Fitzpatrick type {type_name(question.fitzpatrick)}"
    return None


def _picture(question: Question, root: Path) -> tuple[str | None, str]:
    """The first picture as a URI, or None and why there is none."""
    if not question.images:
        return None, "the question has no picture"
    if not question.embeddable:
        return None, f"the licence does not allow it: {question.licence or 'not stated'}"
    try:
        return picture_uri(root / question.images[0], SHOWN_SIDE, SHOWN_QUALITY), ""
    except ImageError:
        return None, "the picture cannot be read any more"
