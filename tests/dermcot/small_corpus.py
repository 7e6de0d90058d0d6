"""A corpus small enough for a test, and a stand-in for the evaluator that needs no model."""

import random
import sys
import time
import zlib
from functools import partial
from pathlib import Path

from skingpt_r1.dermcot import corpus
from skingpt_r1.dermcot.corpus import Candidate, CaseRecord, StageRecord
from skingpt_r1.dermcot.narrators import OfflineNarrator
from skingpt_r1.dermcot.pipeline import Tools, build
from skingpt_r1.dermcot.recipe import CorpusRecipe
from skingpt_r1.distill.data import FindingsByLabel
from skingpt_r1.records import iterate_records
from skingpt_r1.text.rubric import DIMENSIONS, Scores, Unscored


def small_recipe(**changes):
    values = {
        "name": "small",
        "seed": 5,
        "cases": {"count": 48, "held_out": 12, "size": 48, "seed": 3},
        "narrators": {"slips": 0.4},
        "score": {"batch_size": 7},
        "select": {"keep": 20, "minimum_mean": 2.0, "minimum": 0.5},
    }
    for name, value in changes.items():
        old = values.get(name)
        values[name] = old | value if isinstance(old, dict) else value
    return CorpusRecipe.model_validate(values)


def score_by_hash(asked):
    """Scores that depend on the whole batch, as those of a padded batch can."""
    mark = zlib.crc32("|".join(text for _, text in asked).encode())
    verdicts = []
    for images, text in asked:
        assert all(path.is_file() for path in images)
        rng = random.Random(f"{mark}:{text}")
        if rng.random() < 0.05:
            verdicts.append(Unscored("truncated"))
        else:
            verdicts.append(Scores(tuple(rng.randint(10, 50) / 10 for _ in DIMENSIONS)))
    return verdicts


def small_tools(recipe, workers=1):
    def narrators(folder: Path):
        cases = iterate_records(corpus.cases_path(folder), CaseRecord)
        offline = OfflineNarrator(
            FindingsByLabel(case for case in cases if case.part == "candidate"),
            slips=recipe.narrators.slips,
            seed=recipe.seed,
            contradicted_from=6.0,
        )
        return dict.fromkeys(("observe", "reason"), partial(map, offline.write))

    return Tools(narrators, lambda: score_by_hash, "stand-in", workers)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a corpus but the description of the run, which names commits."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def case_record(identity="case-1", **changes):
    values = {
        "id": identity,
        "dataset": "toy",
        "group": identity,
        "part": "candidate",
        "images": ("pictures/a.png",),
        "sha256": ("0" * 64,),
        "phash": ("00" * 32,),
        "label": "psoriasis",
    }
    return CaseRecord(**(values | changes))


def candidate(texts=None, **changes):
    case = case_record(**changes)
    records = {
        stage: StageRecord(id=case.id, stage=stage, text=text)
        for stage, text in (texts or {}).items()
    }
    return Candidate(case, records)


def slow_build(folder: Path) -> None:
    """A build with a pause after every record, to be killed in the middle of."""
    recipe = small_recipe()
    print("begun", flush=True)  # noqa: T201 - the signal to the test
    build(recipe, folder, small_tools(recipe), lambda _stage, _done, _total: time.sleep(0.01))


if __name__ == "__main__":
    slow_build(Path(sys.argv[1]))
