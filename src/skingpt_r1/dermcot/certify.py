"""Certification of the held-out part of a corpus folder: what `ratings` does, bound to its files.

Everything lies in the folder `certify` of the corpus: `history.jsonl` is the only truth, all else
is made from it. The ratings of synthetic corpora come from simulated raters: formulas, not people.
A narrative that an offline narrator wrote with a known slip deserves the scores of that damage;
raters give them with bias and noise and, where there is a slip, write the narrative without it.
For research, not for diagnosis.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from skingpt_r1.dermcot.corpus import (
    CorpusRecord,
    corpus_cases,
    corpus_path,
    noted_root,
    read_corpus,
)
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.certification import (
    Certification,
    CertifyRules,
    Decision,
    History,
    Import,
    append_decisions,
    append_import,
    read_history,
    standing,
)
from skingpt_r1.ratings.rating import Rating, RatingScores, one_or_all, write_ratings
from skingpt_r1.ratings.sheets import (
    Exported,
    assign_raters,
    check_raters,
    export_cases,
    read_sheet,
)
from skingpt_r1.records import sha256_file, write_results
from skingpt_r1.render.layouts import DATASET
from skingpt_r1.runs import picture_name, picture_paths
from skingpt_r1.simulate.damage import Damage, Rater, make_raters, rate, true_scores
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.wording import urgency_of, write_narrative

FOLDER, HISTORY, RATINGS = "certify", "history.jsonl", "ratings.jsonl"


def history_path(folder: Path) -> Path:
    """The history of the corpus in this folder."""
    return folder / FOLDER / HISTORY


def current_rules(folder: Path) -> CertifyRules:
    """The numbers of the latest decisions; the usual ones before any."""
    return CertifyRules.model_validate(read_history(history_path(folder)).limits or {})


def export_to_raters(
    folder: Path, to: Path, raters: Sequence[str], rules: CertifyRules, *, seed: int
) -> Exported:
    """Write a folder for raters with the cases that need one of them.

    The seed is that of the assignment and of the order of rows.

    Raises:
        DatasetError: see `check_raters` and `export_cases`.
        RecordError: the held-out part is not finished.
    """
    check_raters(raters)
    history, cases, judged = _open(folder), corpus_cases(folder, "held_out"), _judged(folder)
    assigned = assign_raters(_labels(folder), history, rules, raters, seed)
    return export_cases(cases, history, rules, assigned, to, judged=judged, seed=seed)


def import_ratings(
    folder: Path, path: Path, rules: CertifyRules, *, imported_at: str, sound_rows: bool = False
) -> Import | None:
    """Take in a table that raters filled in, and decide; None when the table says nothing new.

    Raises:
        DatasetError: see `read_sheet`; or the history is simulated.
    """
    history, labels, judged = _open(folder), _labels(folder), _judged(folder)
    if history.simulated:
        raise DatasetError(
            f"{folder} has simulated ratings; real ones must not mix with them; build the corpus "
            "in a new folder"
        )
    event = read_sheet(path, labels, judged, imported_at=imported_at, sound_rows=sound_rows)
    news = tuple(rating for rating in event.ratings if history.is_news(rating))
    event = event.model_copy(update={"unchanged": len(event.ratings) - len(news), "ratings": news})
    append_decisions(append_import(history, event) if news else history, labels, rules)
    return event if news else None


def simulate_raters(folder: Path, rules: CertifyRules, *, raters: int, seed: int) -> Certification:
    """Rate every held-out case by simulated raters, with a further one where two disagree.

    A run that was stopped is continued; the result is the same.

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
    formulas = {rater.name: rater for rater in make_raters(raters, seed)}
    labels, judged = _labels(folder), _judged(folder)
    history = append_decisions(history, labels, rules)
    while assigned := assign_raters(labels, history, rules, list(formulas), seed):
        ratings = tuple(_simulate_ratings(folder, assigned, formulas, seed))
        event = Import(file="simulated raters", judged=judged, simulated=True, ratings=ratings)
        history = append_decisions(append_import(history, event), labels, rules)
    return settle(folder, rules)


def settle(folder: Path, rules: CertifyRules) -> Certification:
    """Decide by the rules, append what changed, and say where things stand.

    Also writes `results.json`, and `ratings.jsonl` for the evaluator.

    Raises:
        RecordError: the held-out part is not finished, or the folder cannot be written to.
    """
    labels = _labels(folder)
    history = append_decisions(_open(folder), labels, rules)
    found = standing(history, history.decide(labels, rules))
    if history.imports:
        write_ratings(folder / FOLDER / RATINGS, _rating_rows(folder, history))
    write_results(folder / FOLDER, found.rows())
    return found


class Entry(NamedTuple):
    """A finished case, with its certification where there is one."""

    record: CorpusRecord
    decision: Decision | None = None
    ratings: Sequence[Rating] = ()


def certified(folder: Path) -> Iterator[Entry]:
    """The certified cases with the narrative that stands, one at a time.

    No decision is made here: the latest decisions of the history count.

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
        # The ratings that it rests on, as far as they are still the current ones.
        counted = [rating for rating in history.of(record.id) if rating.name in decision.ratings]
        if len(counted) < len(decision.ratings):
            raise DatasetError(
                f"{folder}: decisions rest on other ratings than there are now; run "
                f"`skingpt dermcot certify {folder}` to decide anew"
            )
        narrative = decision.corrected or record.narrative
        yield Entry(record.model_copy(update={"narrative": narrative}), decision, counted)


def slip_of(record: CorpusRecord) -> Damage:
    """The known damage of a narrative: that of the observation and of the reasoning together.

    Raises:
        DatasetError: a slip that is no known damage, for example `wrong diagnosis 0.5`.
    """
    parts: dict[str, float] = {}
    for provenance in (record.observe, record.reason):
        slips = provenance.simulated_slip  # as `narrators.name_slip` joins them
        for slip in slips.split(" + ") if slips else ():
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


def _simulate_ratings(
    folder: Path, assigned: Mapping[str, Sequence[str]], raters: Mapping[str, Rater], seed: int
) -> Iterator[Rating]:
    """A rating depends on the case, the rater and the seed alone."""
    for record in read_corpus(folder, "held_out"):
        if record.dataset != DATASET:
            raise DatasetError(
                f"case {record.id!r} is of {record.dataset}; simulated raters know the truth of "
                "synthetic cases only; export the cases to dermatologists instead"
            )
        slip = slip_of(record)
        for name in assigned.get(record.id, ()):
            rng = random.Random(f"{seed}:{name}:{record.id}")
            yield Rating(
                id=record.id,
                rater=name,
                simulated=True,
                scores=RatingScores.of(rate(raters[name], true_scores(slip), rng).values),
                comment=f"simulated: {', '.join(slip.parts)}" if slip.parts else "",
                corrected=_without_slip(record, rng) if slip.parts else None,
            )


def _without_slip(record: CorpusRecord, rng: random.Random) -> str:
    label = record.diagnosis
    given = parse_narrative(record.narrative).differential
    others = [name for name in given if name != label]
    urgency = urgency_of(label)
    return write_narrative(record.findings, label, others, rng, record.context, urgency).text


def _rating_rows(folder: Path, history: History) -> Iterator[Rating]:
    """The current verdict of every rater for a rating file; on the narrative as it was exported."""
    root, place = noted_root(folder), folder / FOLDER
    for record in read_corpus(folder, "held_out"):
        images = [picture_name(image, place) for image in picture_paths(record.images, root)]
        text = {"diagnostic_text": record.narrative, "group": record.group}
        for rating in history.of(record.id):
            yield rating.model_copy(update={"image": one_or_all(images), **text})


def _labels(folder: Path) -> dict[str, str]:
    return {record.id: record.diagnosis for record in read_corpus(folder, "held_out")}


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
