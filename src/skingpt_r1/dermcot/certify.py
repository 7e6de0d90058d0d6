"""Certification of the held-out part of a corpus: ratings in, decisions out, history kept.

Everything lies in the folder `certify` of the corpus: `history.jsonl` is the only truth, all else
is made from it. For research, not for diagnosis.

The raters' verdicts in the record schema of the evaluator: one row for each rater.

Source: the record schema of the DermEval release; `skingpt dermeval train` and `agree` read it.

Simulated raters for synthetic corpora: they know what is wrong with a text. They are nobody.

A narrative that an offline narrator wrote with a known slip deserves the scores of that damage;
raters give them with bias and noise and, where there is a slip, write the narrative without it.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from skingpt_r1.dermcot.corpus import (
    CorpusRecord,
    corpus_path,
    noted_root,
    picture_paths,
    picture_root,
    read_corpus,
    relative,
)
from skingpt_r1.dermcot.sheets import (
    Exported,
    assign_raters,
    check_raters,
    export_cases,
    missing_verdicts,
)
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.agreement import Agreement, agreement_rows, rater_agreement, ratings_by_case
from skingpt_r1.ratings.rules import (
    STATES,
    CertifyRules,
    Decision,
    History,
    Import,
    State,
    append_decisions,
    append_import,
    decide,
    read_history,
)
from skingpt_r1.ratings.sheets import Sheet, case_code, read_sheet
from skingpt_r1.ratings.verdict import SCORE_COLUMNS, Rating
from skingpt_r1.records import ResultRow, sha256_file, write_bytes_atomic, write_results
from skingpt_r1.render.folder import DATASET
from skingpt_r1.simulate.damage import Damage, true_scores
from skingpt_r1.simulate.raters import Rater, make_raters, rate
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.wording import urgency_of, write_narrative


def write_rater_records(
    path: Path, corpus: Iterable[CorpusRecord], folder: Path, history: History
) -> int:
    """Write the current verdict of every rater; they judge the narrative as it was exported.

    Args:
        path: the file; its folder is where relative picture paths begin.
        corpus: the held-out cases.
        folder: of the corpus.
        history: with the ratings.

    Returns:
        The number of rows.
    """
    rows = [
        json.dumps(row, ensure_ascii=False)
        for record in corpus
        for row in _rows(record, path.parent, folder, history)
    ]
    write_bytes_atomic(path, "".join(f"{row}\n" for row in rows).encode())
    return len(rows)


def _rows(
    record: CorpusRecord, place: Path, folder: Path, history: History
) -> Iterator[dict[str, Any]]:
    images = [relative(image, place) for image in picture_paths(record.images, folder)]
    for rating in history.of(record.id):
        yield {
            "id": record.id,
            "image": images[0] if len(images) == 1 else images,
            "diagnostic_text": record.narrative,
            "group": record.group,
            "rater": rating.rater,
            "simulated": rating.is_simulated,
            "scores": dict(zip(SCORE_COLUMNS, rating.scores, strict=True)),
        }


# What joins several mistakes in a provenance; see `offline.name_slip`.
_JOINT = " + "


def simulated_raters(count: int, seed: int) -> dict[str, Rater]:
    """Simulated raters by name."""
    return {rater.name: rater for rater in make_raters(count, seed)}


def simulate_ratings(
    corpus: Iterable[CorpusRecord],
    assigned: Mapping[str, Sequence[str]],
    raters: Mapping[str, Rater],
    *,
    seed: int,
) -> Iterator[Rating]:
    """What the simulated raters give to the cases that they are assigned.

    A rating depends on the case, the rater and the seed alone.

    Args:
        corpus: the held-out cases, streamed.
        assigned: case -> names of raters.
        raters: by name.
        seed: of noise and wording.

    Raises:
        DatasetError: a case is not synthetic: nobody can know what its narrative deserves.
    """
    for record in corpus:
        if record.dataset != DATASET:
            raise DatasetError(
                f"case {record.id!r} is of {record.dataset}; simulated raters know the truth of "
                "synthetic cases only; export the cases to dermatologists instead"
            )
        slip = slip_of(record)
        true = true_scores(slip)
        for name in assigned.get(record.id, ()):
            rng = random.Random(f"{seed}:{name}:{record.id}")
            yield Rating(
                case=record.id,
                rater=name,
                scores=rate(raters[name], true, rng).values,
                comment=f"simulated: {', '.join(slip.parts)}" if slip.parts else "",
                corrected=_corrected(record, rng) if slip.parts else None,
            )


def slip_of(record: CorpusRecord) -> Damage:
    """The known damage of a narrative: that of the observation and of the reasoning together.

    Raises:
        DatasetError: a slip that is no known damage, for example `wrong diagnosis 0.5`.
    """
    parts: dict[str, float] = {}
    for provenance in (record.observe, record.reason):
        slips = provenance.simulated_slip
        for slip in slips.split(_JOINT) if slips else ():
            kind, _, strength = slip.rpartition(" ")
            try:
                parts[kind] = max(float(strength), parts.get(kind, 0.0))
                Damage(parts)
            except ValueError as error:
                raise DatasetError(
                    f"case {record.id!r} has the simulated slip {slip!r}: {error}; build the "
                    "corpus again"
                ) from error
    return Damage(parts)


def _corrected(record: CorpusRecord, rng: random.Random) -> str:
    given = parse_narrative(record.narrative).differential
    others = [name for name in given if name != record.diagnosis]
    label = record.diagnosis
    return write_narrative(
        record.findings, label, others, rng, record.context, urgency_of(label)
    ).text


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
    folder: Path, path: Path, rules: CertifyRules, *, imported_at: str, sound_rows: bool = False
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
