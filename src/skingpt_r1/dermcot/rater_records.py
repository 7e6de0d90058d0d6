"""The raters' verdicts in the record schema of the evaluator: one row for each rater.

Source: the record schema of the DermEval release; `skingpt dermeval train` and `agree` read it.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from skingpt_r1.dermcot.corpus import CorpusRecord
from skingpt_r1.dermcot.corpus_part import picture_paths, relative
from skingpt_r1.ratings.certify_history import History
from skingpt_r1.ratings.verdict import SCORE_COLUMNS
from skingpt_r1.records import write_bytes_atomic


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
