"""The cases of a run for the report's browser: chunks of JSON, and a small index for the filters.

Texts are read again from the run's files; only one chunk of cases is in memory at a time.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from skingpt_r1.dermbench.answers import answers_path
from skingpt_r1.dermbench.classification.match import MatchedLabel
from skingpt_r1.dermbench.questions import benchmark_title, data_root
from skingpt_r1.dermbench.reading import NOT_ASKED, RunReading, Said
from skingpt_r1.dermbench.records import Answer, Judgement, Question
from skingpt_r1.dermbench.report.data import CaseAnswer, ReportCase, ReportData, ResultTable
from skingpt_r1.dermbench.report.wording import percent
from skingpt_r1.dermbench.tables import UNKNOWN, type_name
from skingpt_r1.errors import ImageError
from skingpt_r1.llm.ask import picture_uri
from skingpt_r1.records import record_at
from skingpt_r1.text.rubric import DIMENSIONS

SHOWN_SIDE = 256  # longest side of a picture in the report, pixels
SHOWN_QUALITY = 80  # of its JPEG: half the bytes of what a model is sent


def report_cases(reading: RunReading, *, pictures: bool = True) -> Iterator[ReportCase]:
    """Every question with what was said and judged, in their order.

    With `pictures` those whose licence allows it are embedded.
    """
    root = data_root(reading.folder)
    paths = {answers_path(reading.folder, system) for system in reading.systems}
    paths |= {judged.path for systems in reading.judged.values() for judged in systems.values()}
    with ExitStack() as stack:
        files = {path: stack.enter_context(path.open("rb")) for path in paths}
        for question in reading.questions:
            picture, missing = _picture(question, root) if pictures else (None, "not asked for")
            yield ReportCase(
                question=question,
                answers=tuple(
                    _answer(reading, question, system, files) for system in reading.systems
                ),
                picture=picture,
                no_picture=missing,
            )


def _answer(
    reading: RunReading, question: Question, system: str, files: Mapping[Path, BinaryIO]
) -> CaseAnswer:
    said = reading.said[system].get(question.id)
    if said is None:
        return CaseAnswer(Answer(system=system, id=question.id, text="", problem=NOT_ASKED))
    answer = record_at(files[answers_path(reading.folder, system)], said.place, Answer)
    given = [
        record_at(files[systems[system].path], place, Judgement)
        for systems in reading.judged.values()
        if system in systems
        for place in systems[system].places.get(question.id, [])
    ]
    return CaseAnswer(answer, _outcome(said, question.label), tuple(given))


def _outcome(said: Said, label: str) -> str | None:
    """How what is named stands to the label; in classification also what is the likeliest."""
    if said.verdict is not None:
        return said.verdict.value
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


def _tone(question: Question) -> str:
    if question.tone is not None:
        return question.tone.value
    if question.fitzpatrick is not None:
        return f"Fitzpatrick type {type_name(question.fitzpatrick)}"
    return UNKNOWN


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


_CHUNK = 25  # cases that the browser parses at once


class CaseChunks:
    """Gives the cases as chunks of JSON, and knows the index once all have been given.

    Only one chunk is in memory at a time.
    """

    def __init__(self, data: ReportData) -> None:
        self._data = data
        self._boards = data.of("scores")
        self._places = {(board.run, *board.of): place for place, board in enumerate(self._boards)}
        self._rows: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[Markup]:
        self._rows = []
        cases = self._data.cases()
        while chunk := list(islice(cases, _CHUNK)):
            self._rows += [self._index_row(case) for case in chunk]
            yield script_json([self._whole(case) for case in chunk])

    def index(self) -> Markup:
        """What the filters need of every case; to be called after the last chunk."""
        tables = [board.title for board in self._boards]
        return script_json(
            {"chunk_size": _CHUNK, "dimensions": DIMENSIONS, "tables": tables, "cases": self._rows}
        )

    def _index_row(self, case: ReportCase) -> dict[str, Any]:
        means = [_means(case, board) for board in self._boards]
        return {
            "id": case.id,
            **_shown(case.question),
            "gaps": [round(max(row) - min(row), 4) if len(row) > 1 else None for row in means],
            "lows": [round(min(row), 4) if row else None for row in means],
        }

    def _whole(self, case: ReportCase) -> dict[str, Any]:
        return {
            "id": case.id,
            "run": case.run,
            **_shown(case.question),
            "findings": case.question.findings,
            "reference": case.question.reference,
            "picture": case.picture,
            "no_picture": case.no_picture,
            "answers": [
                {
                    "system": answer.system,
                    "text": answer.text,
                    "problem": answer.problem,
                    "outcome": outcome,
                    "verdicts": [self._verdict(item, case.run) for item in judgements],
                }
                for answer, outcome, judgements in case.answers
            ],
        }

    def _verdict(self, item: Judgement, run: str) -> dict[str, Any]:
        row: dict[str, Any] = {
            "table": self._places[run, item.judge, item.protocol],
            "repeat": item.repeat,
            "cut": item.cut,
        }
        if item.scores is None:
            return row | {"scores": None, "unscored": item.unscored}
        if item.rationales:
            row["rationales"] = [item.rationales.get(name) for name in DIMENSIONS]
        return row | {
            "scores": [item.scores[name] for name in DIMENSIONS],
            "mean": round(mean_score(item.scores), 4),
        }


def _means(case: ReportCase, board: ResultTable) -> list[float]:
    """Mean score of every scored system on a case; controls and oracles are left aside."""
    if case.run != board.run:
        return []
    means = []
    for answer, _, judgements in case.answers:
        given = [
            mean_score(item.scores)
            for item in judgements
            if item.scores is not None and (item.judge, item.protocol) == board.of
        ]
        if given and board.systems.get(answer.system) == "system":
            means.append(sum(given) / len(given))
    return means


def _shown(question: Question) -> dict[str, str]:
    return {
        "benchmark": benchmark_title(question),
        "label": question.label,
        "tone": _tone(question),
    }


def mean_score(scores: Mapping[str, float]) -> float:
    """Mean over the six dimensions."""
    return sum(scores[name] for name in DIMENSIONS) / len(DIMENSIONS)


# JSON that can stand inside a script element whatever its texts hold, `</script>` included.
script_json = partial(htmlsafe_json_dumps, ensure_ascii=False, separators=(",", ":"))
