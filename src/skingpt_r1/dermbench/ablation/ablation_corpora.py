"""The two published corpora of an ablation: what the evaluator selected, and as many by chance."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from skingpt_r1.dermbench.ablation.ablation_recipe import Corpus
from skingpt_r1.dermcot.corpus_part import corpus_path, read_corpus
from skingpt_r1.dermcot.pipeline import SELECTION, read_selection, select_corpus
from skingpt_r1.dermcot.publish import Options, publish
from skingpt_r1.dermcot.recipe import SelectRecipe
from skingpt_r1.runs import LOCK

_RENEWED = (SELECTION, "corpus.jsonl", "held_out.jsonl", "stages/6_select.jsonl")


def published_corpora(corpus: Path, folder: Path, wanted: Iterable[Corpus]) -> dict[Corpus, Path]:
    """Publish the corpora that are wanted.

    Both have the same certified cases and the same number of narratives.

    Args:
        corpus: folder of a finished corpus; it is not changed.
        folder: gets the published corpora.
        wanted: which of the two.

    Raises:
        RecordError: the corpus is not finished.
    """
    found: dict[Corpus, Path] = {}
    for name in dict.fromkeys(wanted):
        source = corpus if name == "filtered" else by_chance(corpus, folder / "by_chance")
        found[name] = folder / f"published_{name}"
        publish(source, found[name], Options(name=f"{name} corpus", workers=2))
    return found


def by_chance(corpus: Path, folder: Path) -> Path:
    """A copy of a corpus whose selection leaves everything to chance; of the same size.

    Raises:
        RecordError: the candidates of the corpus were never selected.
    """
    settings = SelectRecipe(**read_selection(corpus)).model_dump()
    keep = sum(1 for _ in read_corpus(corpus))
    if not corpus_path(folder).exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(corpus, folder, copy_function=_link, ignore=shutil.ignore_patterns(LOCK))
        for name in _RENEWED:
            (folder / name).unlink(missing_ok=True)
    chance = {"order": "random", "keep": keep, "minimum_mean": 0.0, "minimum": 0.0}
    select_corpus(folder, SelectRecipe(**{**settings, **chance}))
    return folder


def _link(source: str, target: str) -> None:
    """Pictures are shared; files that are appended to must be copies."""
    if source.endswith((".jsonl", ".json")):
        shutil.copy2(source, target)
        return
    try:
        Path(target).hardlink_to(source)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)
