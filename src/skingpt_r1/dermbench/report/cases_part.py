"""The cases as the page carries them: chunks of JSON, and a small index for the filters."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from skingpt_r1.dermbench.report.data import CaseAnswer, ReportCase, ReportData, Verdict
from skingpt_r1.dermbench.report.wording import of_run
from skingpt_r1.text.rubric import DIMENSIONS

UNKNOWN = "unknown"
_CHUNK = 25  # cases that the browser parses at once


class CaseChunks:
    """Gives the cases as chunks of JSON, and knows the index once all have been given.

    Only one chunk is in memory at a time.
    """

    def __init__(self, data: ReportData) -> None:
        self._data = data
        self._places = {
            (table.run, table.judge, table.protocol): place
            for place, table in enumerate(data.scores)
        }
        self._rated = [
            {row.system for row in table.rows if row.kind == "system"} for table in data.scores
        ]
        self._rows: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[Markup]:
        self._rows = []
        cases = self._data.cases()
        while chunk := list(islice(cases, _CHUNK)):
            self._rows += [self._index_row(case) for case in chunk]
            yield script_json([self._whole(case) for case in chunk])

    def index(self) -> Markup:
        """What the filters need of every case; to be called after the last chunk."""
        tables = [
            of_run(f"{table.judge}, {table.protocol}", table.run) for table in self._data.scores
        ]
        return script_json(
            {
                "chunk_size": _CHUNK,
                "dimensions": DIMENSIONS,
                "tables": tables,
                "cases": self._rows,
            }
        )

    def _index_row(self, case: ReportCase) -> dict[str, Any]:
        means = [self._means(case, place) for place in range(len(self._data.scores))]
        return {
            "id": case.id,
            "benchmark": case.benchmark,
            "label": case.label,
            "tone": case.tone or UNKNOWN,
            "gaps": [_round(max(row) - min(row)) if len(row) > 1 else None for row in means],
            "lows": [_round(min(row)) if row else None for row in means],
        }

    def _means(self, case: ReportCase, place: int) -> list[float]:
        """Mean score of every scored system on a case; controls and oracles are left aside."""
        table = self._data.scores[place]
        if case.run != table.run:
            return []
        means = []
        for answer in case.answers:
            given = [
                mean_score(verdict.scores)
                for verdict in answer.verdicts
                if verdict.scores is not None
                and (verdict.judge, verdict.protocol) == (table.judge, table.protocol)
            ]
            if given and answer.system in self._rated[place]:
                means.append(sum(given) / len(given))
        return means

    def _whole(self, case: ReportCase) -> dict[str, Any]:
        return {
            "id": case.id,
            "run": case.run,
            "benchmark": case.benchmark,
            "label": case.label,
            "tone": case.tone or UNKNOWN,
            "findings": dict(case.findings),
            "reference": case.reference,
            "picture": case.picture,
            "no_picture": case.no_picture,
            "answers": [self._answer(answer, case.run) for answer in case.answers],
        }

    def _answer(self, answer: CaseAnswer, run: str) -> dict[str, Any]:
        return {
            "system": answer.system,
            "text": answer.text,
            "problem": answer.problem,
            "outcome": answer.outcome,
            "verdicts": [self._verdict(verdict, run) for verdict in answer.verdicts],
        }

    def _verdict(self, verdict: Verdict, run: str) -> dict[str, Any]:
        row: dict[str, Any] = {
            "table": self._places[run, verdict.judge, verdict.protocol],
            "repeat": verdict.repeat,
            "cut": verdict.cut,
        }
        if verdict.scores is None:
            return row | {"scores": None, "unscored": verdict.unscored}
        if verdict.rationales:
            row["rationales"] = [verdict.rationales.get(name) for name in DIMENSIONS]
        return row | {
            "scores": [verdict.scores[name] for name in DIMENSIONS],
            "mean": _round(mean_score(verdict.scores)),
        }


def mean_score(scores: Mapping[str, float]) -> float:
    """Mean over the six dimensions."""
    return sum(scores[name] for name in DIMENSIONS) / len(DIMENSIONS)


def script_json(content: Mapping[str, Any] | Sequence[Any]) -> Markup:
    """JSON that can stand inside a script element whatever its texts hold, `</script>` included."""
    return htmlsafe_json_dumps(content, ensure_ascii=False, separators=(",", ":"))


def _round(value: float) -> float:
    return round(value, 4)
