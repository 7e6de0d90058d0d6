"""From the folders of runs to everything that a report shows.

No text of an answer or a judgement stays in memory; the cases are read again one by one. A run
holds one data set, asked in one way. The tables of several runs stay apart, each under the name of
its run; no number is computed over two runs. A system has one name in the report, so that it must
be the same system in every run.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from skingpt_r1.dermbench.audits import audit_run
from skingpt_r1.dermbench.classification.tables import classification_tables
from skingpt_r1.dermbench.questions import RENDERED, benchmark_title
from skingpt_r1.dermbench.reading import RunReading, read_run
from skingpt_r1.dermbench.recipe import SYNTHETIC
from skingpt_r1.dermbench.report.cases import report_cases
from skingpt_r1.dermbench.report.data import OVERLAP, Audit, Kind, ReportData, ResultTable, measured
from skingpt_r1.dermbench.systems.card import NOT_A_MODEL
from skingpt_r1.dermbench.tables import kind_of, label_table, score_table
from skingpt_r1.errors import RecipeError
from skingpt_r1.records import ResultRow, read_json
from skingpt_r1.runs import RUN
from skingpt_r1.stats.intervals import Bootstrap, wilson


def summarise_reading(
    reading: RunReading,
    *,
    baseline: str | None = None,
    boot: Bootstrap | None = None,
    audits: tuple[Audit, ...] = (),
    notes: tuple[str, ...] = (),
    pictures: bool = True,
) -> ReportData:
    """All tables of one run, see `summarise_runs`; `audits` are the checks of its judges."""
    run = read_json(reading.folder / RUN)
    chosen = boot or Bootstrap(seed=int(run.get("seed", 0)))
    tables = [
        *(score_table(reading, scale, chosen) for scale, of in reading.judged.items() if of),
        label_table(reading),
        *classification_tables(reading, chosen, baseline),
        *_leaks(reading),
    ]
    cards = {system: reading.cards.get(system) for system in reading.systems}
    return ReportData(
        title=str(run["recipe"].get("name", reading.folder.name)),
        facts=_facts(reading, run, chosen),
        systems={name: card.model if card else "no card" for name, card in cards.items()},
        tables=tuple(table for table in tables if table is not None),
        audits=audits,
        notes=(*_notes(reading, run["recipe"]), *notes),
        num_cases=len(reading.questions),
        cases=partial(report_cases, reading, pictures=pictures),
    )


def _facts(reading: RunReading, run: dict[str, object], boot: Bootstrap) -> dict[str, str]:
    versions = run.get("versions")
    facts = {
        "Questions": f"{len(reading.questions):,}",
        "Groups (patient, lesion or file series)": f"{len({q.group for q in reading.questions}):,}",
        "Benchmarks": ", ".join(dict.fromkeys(map(benchmark_title, reading.questions))),
        "Seed": str(run.get("seed", 0)),
        "Intervals": f"95 %, {boot.resamples:,} resamples of whole groups",
    }
    if isinstance(versions, dict):
        facts["Versions"] = ", ".join(f"{name} {value}" for name, value in versions.items())
    return facts


def _leaks(reading: RunReading) -> Iterator[ResultTable]:
    """The questions of each benchmark that systems were trained on."""
    asked: dict[str, set[str]] = defaultdict(set)
    for question in reading.questions:
        asked[benchmark_title(question)].add(question.id)
    for benchmark, questions in asked.items():
        kinds: dict[str, Kind] = {}
        rows: list[ResultRow] = []
        for system in reading.systems:
            if seen := len(reading.overlapping(system) & questions):
                kinds[system] = kind_of(reading, system)
                share = {OVERLAP: wilson(seen, len(questions))}
                rows += measured(f"leaks, {benchmark}", system, share)
        if rows:
            yield ResultTable(kind="leaks", of=(benchmark,), systems=kinds, rows=tuple(rows))


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


def summarise_runs(
    folders: Sequence[Path],
    *,
    baseline: str | None = None,
    boot: Bootstrap | None = None,
    ratings: Path | None = None,
    notes: tuple[str, ...] = (),
    pictures: bool = True,
) -> ReportData:
    """Go through each run once and put all of their tables into one report.

    Args:
        baseline: a system that the others are compared with in classification, in the runs that
            have it.
        boot: each run has its own seed by default.
        ratings: a rating file of clinicians about the answers of the one run that is judged.
        notes: what a reader must know besides.
        pictures: embed the pictures whose licence allows it.

    Raises:
        RecordError: a folder holds no run, a file breaks its schema, or no rating belongs to it.
        RecipeError: a folder is named twice, the baseline is in no run, a name means another
            system in another run, or ratings are given for several judged runs.
    """
    places = [folder.resolve() for folder in folders]
    for folder, place in zip(folders, places, strict=True):
        if places.count(place) > 1:
            raise RecipeError(f"the run {folder} is named twice; name each run once")
    readings = [read_run(folder) for folder in folders]
    _refuse_other_systems(readings)
    if baseline is not None and not any(baseline in item.systems for item in readings):
        known = dict.fromkeys(name for item in readings for name in item.systems)
        raise RecipeError(
            f"the baseline {baseline!r} is no system of these runs; their systems are "
            f"{', '.join(known) or 'not there yet'}"
        )
    judged = [item for item in readings if item.judged]
    if ratings is not None and len(judged) > 1:
        raise RecipeError(
            f"{len(judged)} of the runs are judged ({', '.join(str(j.folder) for j in judged)}), "
            "and ratings are of the answers of one; report that run alone with --ratings"
        )
    # Without a judged run the first one says what is missing.
    rated = None if ratings is None else [*judged, *readings][0]
    lost = f"{baseline} was not asked, so that nothing is compared with it."
    parts = [
        summarise_reading(
            reading,
            baseline=baseline if baseline in reading.systems else None,
            boot=boot,
            audits=tuple(audit_run(reading, ratings if reading is rated else None)),
            notes=() if baseline in (None, *reading.systems) else (lost,),
            pictures=pictures,
        )
        for reading in readings
    ]
    joined = join_runs(dict(zip(_names(folders, parts), parts, strict=True)))
    return replace(joined, notes=(*joined.notes, *notes))


def join_runs(runs: Mapping[str, ReportData]) -> ReportData:
    """One report of several runs by name; a single one is given back as it is."""
    if len(runs) == 1:
        return next(iter(runs.values()))
    parts = {run: data.in_run(run) for run, data in runs.items()}
    every = list(parts.values())
    first, *others = runs
    more = others[0] if len(others) == 1 else f"{len(others)} more runs"
    return ReportData(
        title=f"{first} and {more}",
        facts=_facts_of_runs(parts),
        systems={name: what for part in every for name, what in part.systems.items()},
        tables=tuple(chain.from_iterable(part.tables for part in every)),
        audits=tuple(chain.from_iterable(part.audits for part in every)),
        notes=_notes_of_runs(parts),
        num_cases=sum(part.num_cases for part in every),
        cases=lambda: chain.from_iterable(part.cases() for part in every),
    )


def _facts_of_runs(parts: Mapping[str, ReportData]) -> dict[str, str]:
    """What is equal in all runs once, the rest in one line for each run."""
    first, *others = (part.facts for part in parts.values())
    shared = {
        name: value
        for name, value in first.items()
        if all(facts.get(name) == value for facts in others)
    }
    own = {
        f"Run {run}": "; ".join(
            f"{name}: {value}" for name, value in part.facts.items() if name not in shared
        )
        for run, part in parts.items()
    }
    return {"Runs": f"{len(parts)}", **{run: text for run, text in own.items() if text}, **shared}


def _notes_of_runs(parts: Mapping[str, ReportData]) -> tuple[str, ...]:
    """Every note once, with the runs that it is about unless it is about all."""
    about: dict[str, list[str]] = defaultdict(list)
    for run, part in parts.items():
        for note in dict.fromkeys(part.notes):
            about[note].append(run)
    return tuple(
        note if len(runs) == len(parts) else f"{', '.join(runs)}: {note}"
        for note, runs in about.items()
    )


def _names(folders: Sequence[Path], parts: Sequence[ReportData]) -> list[str]:
    """The recipes' names; with the folder, and a number if need be, where two are equal."""
    titles = [part.title for part in parts]
    names = [
        title if titles.count(title) == 1 else f"{title} in {folder.resolve().name}"
        for title, folder in zip(titles, folders, strict=True)
    ]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]


def _refuse_other_systems(readings: Sequence[RunReading]) -> None:
    """Stop where one name stands for two systems."""
    seen: dict[str, tuple[Path, tuple[str, str | None]]] = {}
    for reading in readings:
        for name, card in reading.cards.items():
            here = reading.folder, (card.model, card.weights)
            there = seen.setdefault(name, here)
            if there[1] != here[1]:
                raise RecipeError(
                    f"system {name!r} is another one in {reading.folder} than in {there[0]} (other "
                    "weights or another model); ask it again under another name, with NAME=SYSTEM"
                )
