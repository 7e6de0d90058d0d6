"""Certification of the held-out part of a corpus: ratings in, decisions out, history kept.

Everything lies in the folder `certify` of the corpus: `history.jsonl` is the only truth, all else
is made from it. For research, not for diagnosis.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from skingpt_r1.dermcot.corpus import CorpusRecord
from skingpt_r1.dermcot.corpus_part import corpus_path, noted_root, picture_root, read_corpus
from skingpt_r1.dermcot.rater_records import write_rater_records
from skingpt_r1.dermcot.rater_simulation import simulate_ratings, simulated_raters
from skingpt_r1.dermcot.sheets import (
    Exported,
    assign_raters,
    check_raters,
    export_cases,
    missing_verdicts,
)
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.certify_history import (
    History,
    Import,
    append_decisions,
    append_import,
    read_history,
)
from skingpt_r1.ratings.rater_agreement import (
    Agreement,
    agreement_rows,
    rater_agreement,
    ratings_by_case,
)
from skingpt_r1.ratings.rater_import import Sheet, read_sheet
from skingpt_r1.ratings.rules import STATES, CertifyRules, Decision, State, decide
from skingpt_r1.ratings.sheets import case_code
from skingpt_r1.ratings.verdict import Rating
from skingpt_r1.records import ResultRow, sha256_file, write_results

FOLDER, HISTORY, RATINGS = "certify", "history.jsonl", "ratings.jsonl"
STATE_TABLE = "certification"
_PARTICULARS = re.compile(r"'[^']*'|\d+(?:\.\d+)?")


class Certification(NamedTuple):
    """Where a certification stands.

    Attributes:
        counts: state -> number of held-out cases.
        reasons: why cases are not certified -> number; numbers and names are left out.
        corrected: certified cases whose narrative a rater wrote.
        disputed: decided cases about which the raters disagreed beyond a limit.
        agreement: of the raters, by dimension.
        simulated: whether the raters are simulated; None before any rating.
    """

    counts: Mapping[State, int]
    reasons: Mapping[str, int]
    corrected: int
    disputed: int
    agreement: Sequence[Agreement]
    simulated: bool | None


def history_path(folder: Path) -> Path:
    """The history of the corpus in this folder."""
    return folder / FOLDER / HISTORY


def current_rules(folder: Path) -> CertifyRules:
    """The numbers of the latest decisions; the usual ones before any."""
    limits = read_history(history_path(folder)).limits
    return CertifyRules() if limits is None else CertifyRules.model_validate(limits)


def export_to_raters(
    folder: Path, to: Path, raters: Sequence[str], rules: CertifyRules, *, seed: int
) -> Exported:
    """Write a folder for raters with the cases that need one of them.

    Args:
        folder: of the corpus.
        to: the new folder.
        raters: pseudonyms.
        rules: how many verdicts a case needs.
        seed: of the assignment and of the order of rows.

    Raises:
        DatasetError: see `check_raters` and `export_cases`.
        RecordError: the held-out part is not finished.
    """
    check_raters(raters)
    history = _open(folder)
    cases = [record.id for record in read_corpus(folder, "held_out")]
    assigned = assign_raters(cases, history, rules, raters, seed)
    return export_cases(
        read_corpus(folder, "held_out"),
        picture_root(folder),
        assigned,
        to,
        judged=_judged(folder),
        seed=seed,
        missing=missing_verdicts(cases, history, rules),
    )


def import_ratings(
    folder: Path,
    path: Path,
    rules: CertifyRules,
    *,
    imported_at: str,
    sound_rows: bool = False,
) -> Import | None:
    """Take in a table that raters filled in, and decide.

    Args:
        folder: of the corpus.
        path: the table.
        rules: of the decisions.
        imported_at: the time, in UTC.
        sound_rows: import the sound rows and count the wrong ones; else one wrong row stops all.

    Returns:
        What was imported; None when the table says nothing new.

    Raises:
        DatasetError: wrong rows, all of them; no row is filled in; or the history is simulated.
    """
    history = _open(folder)
    if history.simulated:
        raise DatasetError(
            f"{folder} has simulated ratings; real ones must not mix with them; build the corpus "
            "in a new folder"
        )
    judged = _judged(folder)
    codes = {case_code(record.id, judged): record.id for record in read_corpus(folder, "held_out")}
    sheet = read_sheet(path, codes)
    _check_sheet(path, sheet, sound_rows=sound_rows)
    fresh = [rating for rating in sheet.ratings if not _is_known(rating, history)]
    if not fresh:
        _decide_all(folder, history, rules)
        return None
    event = Import(
        file=sheet.name,
        sha256=sheet.sha256,
        judged=judged,
        simulated=False,
        imported_at=imported_at,
        refused=sheet.refused,
        unfilled=sheet.unfilled,
        unchanged=len(sheet.ratings) - len(fresh),
        ratings=tuple(fresh),
    )
    _decide_all(folder, append_import(history, event), rules)
    return event


def simulate_raters(folder: Path, rules: CertifyRules, *, raters: int, seed: int) -> Certification:
    """Rate every held-out case by simulated raters, with a further one where two disagree.

    A run that was stopped is continued; the result is the same.

    Args:
        folder: of a synthetic corpus.
        rules: of the decisions.
        raters: how many simulated raters there are.
        seed: of their biases and noise.

    Raises:
        DatasetError: real ratings are there, a case is not synthetic, or too few raters.
    """
    history = _open(folder)
    if history.simulated is False:
        raise DatasetError(
            f"{folder} has ratings of people; simulated ones must not mix with them; leave out "
            "--simulated"
        )
    if raters < rules.most_raters:
        raise DatasetError(
            f"{raters} simulated raters cannot settle a dispute; at least {rules.most_raters} "
            "are needed"
        )
    people = simulated_raters(raters, seed)
    cases = [record.id for record in read_corpus(folder, "held_out")]
    history = _decide_all(folder, history, rules)
    while missing_verdicts(cases, history, rules):
        assigned = assign_raters(cases, history, rules, list(people), seed)
        corpus = read_corpus(folder, "held_out")
        ratings = tuple(simulate_ratings(corpus, assigned, people, seed=seed))
        event = Import(
            file="simulated raters",
            sha256=None,
            judged=_judged(folder),
            simulated=True,
            imported_at=None,
            refused=0,
            unfilled=0,
            unchanged=0,
            ratings=ratings,
        )
        history = _decide_all(folder, append_import(history, event), rules)
    return settle(folder, rules)


def settle(folder: Path, rules: CertifyRules) -> Certification:
    """Decide by the rules, append what changed, and say where things stand.

    Also writes `results.json`, and `ratings.jsonl` for the evaluator.

    Raises:
        RecordError: the held-out part is not finished, or the folder cannot be written to.
    """
    history = _decide_all(folder, _open(folder), rules)
    decisions = _decisions(folder, history, rules)
    found = Certification(
        counts={state: sum(d.state == state for d in decisions) for state in STATES},
        reasons=Counter(_kind(reason) for d in decisions for reason in d.reasons),
        corrected=sum(d.corrected is not None for d in decisions),
        disputed=sum(d.disputed and d.state in ("certified", "rejected") for d in decisions),
        agreement=rater_agreement(ratings_by_case(history.ratings)),
        simulated=history.simulated,
    )
    if history.imports:
        held_out = read_corpus(folder, "held_out")
        write_rater_records(folder / FOLDER / RATINGS, held_out, noted_root(folder), history)
    write_results(folder / FOLDER, result_rows(found))
    return found


def certified(folder: Path) -> Iterator[tuple[CorpusRecord, Decision, list[Rating]]]:
    """The certified cases with the narrative that stands, one at a time.

    Nothing is decided here: the latest decisions of the history count.

    Raises:
        DatasetError: they rest on ratings that have been revised.
    """
    history = _open(folder)
    if not history.decisions:
        return
    for record in read_corpus(folder, "held_out"):
        decision = history.decisions.get(record.id)
        if decision is None or decision.state != "certified":
            continue
        counted = _counted(history, decision)
        if len(counted) < len(decision.ratings):
            raise DatasetError(
                f"{folder}: decisions rest on other ratings than there are now; run "
                f"`skingpt dermcot certify {folder}` to decide anew"
            )
        narrative = decision.corrected or record.narrative
        stands = record.model_copy(update={"narrative": narrative})
        yield stands, decision, counted


def result_rows(found: Certification) -> Iterator[ResultRow]:
    """The table of `results.json`: cases in each state, and agreement."""
    total = sum(found.counts.values())
    system = "simulated raters" if found.simulated else "raters"
    for state in STATES:
        yield ResultRow(
            table=STATE_TABLE,
            system=system,
            metric=state,
            value=float(found.counts[state]),
            n=total,
        )
    yield from agreement_rows(found.agreement)


def _decide_all(folder: Path, history: History, rules: CertifyRules) -> History:
    if not history.imports:
        return history
    return append_decisions(history, _decisions(folder, history, rules), rules)


def _decisions(folder: Path, history: History, rules: CertifyRules) -> list[Decision]:
    return [
        decide(record.id, record.diagnosis, history.of(record.id), rules)
        for record in read_corpus(folder, "held_out")
    ]


def _check_sheet(path: Path, sheet: Sheet, *, sound_rows: bool) -> None:
    total = len(sheet.ratings) + sheet.refused + sheet.unfilled
    if sheet.problems and not sound_rows:
        raise DatasetError(
            f"{path}: {sheet.refused} of {total} rows are wrong; nothing was imported; correct "
            "them, or import the sound rows alone with --sound-rows",
            sheet.problems,
        )
    if not sheet.ratings:
        raise DatasetError(
            f"{path}: no row to import: {sheet.unfilled} of {total} are not filled in and "
            f"{sheet.refused} are wrong",
            sheet.problems,
        )


def _is_known(rating: Rating, history: History) -> bool:
    known = history.ratings.get(rating.case, {}).get(history.name_of(rating.rater))
    return known is not None and known.verdict == rating.verdict


def _counted(history: History, decision: Decision) -> list[Rating]:
    counted = set(decision.ratings)
    return [rating for rating in history.of(decision.case) if rating.name in counted]


def _kind(reason: str) -> str:
    """A reason without its numbers and names, so that reasons can be counted."""
    return _PARTICULARS.sub("...", reason)


def _judged(folder: Path) -> str:
    return sha256_file(corpus_path(folder, "held_out"))


def _open(folder: Path) -> History:
    """The history, if its ratings judge the texts that are there now."""
    history = read_history(history_path(folder))
    if history.judged is not None and history.judged != _judged(folder):
        raise DatasetError(
            f"the held-out part of {folder} is not the one that was rated; ratings of other texts "
            "do not count; put the old file back, or certify in a new folder"
        )
    return history
