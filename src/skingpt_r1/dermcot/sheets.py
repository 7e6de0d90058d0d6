"""Cases out to raters: a folder with pictures under neutral names and a table to fill in.

Blinded: no narrator, no evaluator, no score, no label and no name of the source. Pictures are
decoded and written anew, so that neither metadata nor the old file name goes along.
"""

import csv
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from skingpt_r1.data.intake import open_image
from skingpt_r1.dermcot.corpus import CorpusRecord
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.rating import rater_key
from skingpt_r1.ratings.rules import CertifyRules, History
from skingpt_r1.ratings.sheets import (
    CASE,
    COLUMNS,
    FILLED_COLUMNS,
    INSTRUCTIONS,
    PICTURES,
    RATER,
    RECORDS,
    TABLE,
    as_cell,
    case_code,
    instructions,
)
from skingpt_r1.ratings.verdict import rater_problem


class Exported(NamedTuple):
    """What lies in the folder of an export.

    Attributes:
        folder: the folder.
        rows: number of rows to fill in.
        cases: number of cases.
        pictures: number of pictures.
        short: cases that need more raters than were named.
    """

    folder: Path
    rows: int
    cases: int
    pictures: int
    short: int


def check_raters(raters: Sequence[str]) -> None:
    """Stop where names cannot be those of the people who are to rate.

    Raises:
        DatasetError: no rater, a name that is no pseudonym, or one that stands twice.
    """
    problems = [found for name in raters if (found := rater_problem(name)) is not None]
    people = Counter(map(rater_key, raters))
    problems += [f"rater {name!r} stands twice" for name in raters if people[rater_key(name)] > 1]
    if problems or not raters:
        raise DatasetError("an export needs raters, each once: --rater a --rater b", problems)


def assign_raters(
    cases: Sequence[str], history: History, rules: CertifyRules, raters: Sequence[str], seed: int
) -> dict[str, tuple[str, ...]]:
    """Who should still rate which case: case -> raters, only cases that need somebody.

    A case without enough verdicts gets as many raters as it lacks, a disputed one gets one more;
    never a rater who has rated it. Work is shared evenly, ties by the seed.
    """
    load = dict.fromkeys(raters, 0)
    assigned: dict[str, tuple[str, ...]] = {}
    for case in cases:
        missing = _missing(case, history, rules)
        if missing < 1:
            continue
        rated = history.ratings.get(case, {})
        free = [name for name in raters if history.name_of(name) not in rated]
        free.sort(key=lambda name: (load[name], _draw(seed, case, name)))
        assigned[case] = tuple(free[:missing])
        for name in assigned[case]:
            load[name] += 1
    return assigned


def export_cases(
    corpus: Iterable[CorpusRecord],
    root: Path,
    assigned: Mapping[str, Sequence[str]],
    folder: Path,
    *,
    judged: str,
    seed: int,
    missing: Mapping[str, int],
) -> Exported:
    """Write the folder for the raters; it appears whole or not at all.

    Args:
        corpus: the held-out cases, streamed.
        root: the folder that their picture paths begin at.
        assigned: see `assign_raters`.
        folder: must not exist.
        judged: sha256 of the held-out part; see `case_code`.
        seed: of the order of the rows, which differs from rater to rater.
        missing: case -> verdicts that it lacks, to count the cases that stay short of raters.

    Raises:
        DatasetError: the folder exists, there is nothing to rate, or it cannot be written.
        ImageError: a picture cannot be read.
    """
    if folder.exists():
        raise DatasetError(f"{folder} exists; name a new folder for the export")
    if not any(assigned.values()):
        raise DatasetError("nothing to export: no case needs one of these raters")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        (partial / PICTURES).mkdir(parents=True)
        rows, pictures = _copy_cases(corpus, root, assigned, partial, judged)
        rows.sort(key=lambda row: (row[RATER], _draw(seed, row[CASE], row[RATER])))
        _write_tables(partial, rows)
        partial.replace(folder)
    except OSError as error:
        raise DatasetError(f"cannot write the export {folder}: {error.strerror}") from error
    short = sum(len(names) < missing[case] for case, names in assigned.items())
    return Exported(folder, len(rows), len({row[CASE] for row in rows}), pictures, short)


def missing_verdicts(cases: Iterable[str], history: History, rules: CertifyRules) -> dict[str, int]:
    """How many verdicts each case still needs; cases that need none are left out."""
    return {case: number for case in cases if (number := _missing(case, history, rules)) > 0}


def _missing(case: str, history: History, rules: CertifyRules) -> int:
    decision = history.decisions.get(case)
    if decision is not None and decision.state == "third_rater":
        return 1
    return max(rules.raters - len(history.ratings.get(case, {})), 0)


def _draw(seed: int, *names: str) -> str:
    return hashlib.sha256(":".join((str(seed), *names)).encode()).hexdigest()


def _copy_cases(
    corpus: Iterable[CorpusRecord],
    root: Path,
    assigned: Mapping[str, Sequence[str]],
    partial: Path,
    judged: str,
) -> tuple[list[dict[str, str]], int]:
    rows: list[dict[str, str]] = []
    owners: dict[str, str] = {}
    pictures = 0
    for record in corpus:
        raters = assigned.get(record.id, ())
        if not raters:
            continue
        code = case_code(record.id, judged)
        assert owners.setdefault(code, record.id) == record.id, "two cases share a neutral name"
        names = [f"{PICTURES}/{code}-{place}.png" for place in range(1, len(record.images) + 1)]
        for name, image in zip(names, record.images, strict=True):
            open_image(root / image).save(partial / name, format="PNG")
        pictures += len(names)
        shown = {
            CASE: code,
            "images": " ".join(names),
            "site": record.context.get("site", ""),
            "age": record.context.get("age", ""),
            "narrative": record.narrative,
            **dict.fromkeys(FILLED_COLUMNS, ""),
        }
        rows += [{**shown, RATER: rater} for rater in raters]
    return rows, pictures


def _write_tables(partial: Path, rows: Sequence[Mapping[str, str]]) -> None:
    # With a byte-order mark, without which spreadsheets misread accents.
    with (partial / TABLE).open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS)
        writer.writeheader()
        writer.writerows({name: as_cell(row[name]) for name in COLUMNS} for row in rows)
    lines = [json.dumps({name: row[name] for name in COLUMNS}, ensure_ascii=False) for row in rows]
    (partial / RECORDS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (partial / INSTRUCTIONS).write_text(instructions(), encoding="utf-8")
