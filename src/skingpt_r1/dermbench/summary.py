"""From a run's folder to everything that is known about it: tables, cases, `results.json`.

No text of an answer or a judgement stays in memory; the cases are read again one by one.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from skingpt_r1.dermbench.classification.tables import classified_tables
from skingpt_r1.dermbench.questions import RENDERED, benchmark_title
from skingpt_r1.dermbench.reading import RunReading
from skingpt_r1.dermbench.recipe import SYNTHETIC
from skingpt_r1.dermbench.report.cases import report_cases
from skingpt_r1.dermbench.report.data import Audit, Leak, ReportData
from skingpt_r1.dermbench.report.write import Written, write_report
from skingpt_r1.dermbench.systems.card import NOT_A_MODEL
from skingpt_r1.dermbench.tables import TRAINED_ON, label_rows, score_table
from skingpt_r1.records import ResultRow, read_json
from skingpt_r1.runs import RUN, own_run
from skingpt_r1.stats.draw import Draw


class Summary(NamedTuple):
    """A run.

    Attributes:
        data: what a report shows.
        rows: numbers of `results.json` that the report does not show.
    """

    data: ReportData
    rows: tuple[ResultRow, ...]


def summarise_reading(
    reading: RunReading,
    *,
    baseline: str | None = None,
    draw: Draw | None = None,
    audits: tuple[Audit, ...] = (),
    notes: tuple[str, ...] = (),
    pictures: bool = True,
) -> Summary:
    """All tables of a run that was gone through; `several_runs.summarise_runs` goes through it.

    Args:
        reading: the run.
        baseline: one of its systems, that the others are compared with in classification.
        draw: of the intervals; the seed of the run by default.
        audits: checks of the judges, shown beside the scores.
        notes: what a reader must know besides.
        pictures: embed the pictures whose licence allows it.
    """
    run = read_json(reading.folder / RUN)
    chosen = draw or Draw(seed=int(run.get("seed", 0)))
    classified = classified_tables(reading, chosen, baseline)
    data = ReportData(
        title=str(run["recipe"].get("name", reading.folder.name)),
        facts=_facts(reading, run, chosen),
        systems={name: _what(reading, name) for name in reading.systems},
        scores=tuple(score_table(reading, scale, chosen) for scale in reading.judged),
        labels=tuple(label_rows(reading)),
        classifications=tuple(item.part for item in classified),
        audits=audits,
        leaks=tuple(_leaks(reading)),
        notes=(*_notes(reading, run["recipe"]), *notes),
        num_cases=len(reading.questions),
        cases=partial(report_cases, reading, pictures=pictures),
    )
    return Summary(data, tuple(row for item in classified for row in item.rows))


def write_summary(
    summary: Summary,
    folder: Path,
    *,
    more: Sequence[ResultRow] = (),
    results: Path | None = None,
) -> Written:
    """The report's files, and `results.json` with every number.

    Args:
        summary: what is reported.
        folder: gets the files.
        more: numbers that belong to the same table and stand elsewhere.
        results: folder of `results.json`; that of the other files by default.

    Raises:
        RecordError: a file cannot be written.
        TrainingError: another process writes the folder.
    """
    with own_run(folder):
        return write_report(summary.data, folder, more=[*summary.rows, *more], results=results)


def _facts(reading: RunReading, run: dict[str, object], draw: Draw) -> dict[str, str]:
    versions = run.get("versions")
    facts = {
        "Questions": f"{len(reading.questions):,}",
        "Groups (patient, lesion or file series)": f"{len({q.group for q in reading.questions}):,}",
        "Benchmarks": ", ".join(dict.fromkeys(map(benchmark_title, reading.questions))),
        "Seed": str(run.get("seed", 0)),
        "Intervals": f"95 %, {draw.resamples:,} resamples of whole groups",
    }
    if isinstance(versions, dict):
        facts["Versions"] = ", ".join(f"{name} {value}" for name, value in versions.items())
    return facts


def _what(reading: RunReading, system: str) -> str:
    card = reading.cards.get(system)
    return card.model if card is not None else "no card"


def _leaks(reading: RunReading) -> list[Leak]:
    leaks = []
    for system in reading.systems:
        seen = reading.overlapping(system)
        for benchmark in dict.fromkeys(map(benchmark_title, reading.questions)):
            asked = [item.id for item in reading.questions if benchmark_title(item) == benchmark]
            concerned = len(seen.intersection(asked))
            if concerned:
                leaks.append(
                    Leak(
                        system=system,
                        benchmark=benchmark,
                        cases=concerned,
                        asked=len(asked),
                        found_by="id, group, file or picture",
                        treatment=f"not counted: {TRAINED_ON}; shown apart",
                    )
                )
    return leaks


def _notes(reading: RunReading, recipe: dict[str, Any]) -> list[str]:
    """What the pictures are, if not photographs, and what is missing from the run."""
    notes = []
    if recipe["data"].get("dataset") == SYNTHETIC:
        notes.append("The pictures are rendered, not photographs.")
    if any(question.licence == RENDERED for question in reading.questions):
        notes.append("Rendered pictures in the layout of a data set, not that data set.")
    unchecked = defaultdict(list)
    for system in reading.systems:
        missing = len(reading.questions) - len(reading.said[system])
        if missing:
            notes.append(f"{system}: {missing:,} of {len(reading.questions):,} not asked yet.")
        card = reading.cards.get(system)
        if card is not None and card.unchecked not in ("", NOT_A_MODEL):
            unchecked[card.unchecked].append(system)
    for reason, systems in unchecked.items():
        notes.append(f"Overlap with training not checked: {', '.join(systems)}; {reason}.")
    return notes
