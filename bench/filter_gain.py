"""What the evaluator's filter is worth: the same number of narratives, filtered and unfiltered.

Takes a finished corpus folder with certified cases (`make demo` leaves one), publishes its
selection and, beside it, as many of the same candidates chosen by chance, distils the same recipe
on both, and compares the two on the certified cases, paired by case.
Expected: one in three candidates carries a simulated mistake; the filter should let few pass;
a model that learns from fewer mistakes should name more findings and diagnoses rightly.
"""

import argparse
from pathlib import Path

from skingpt_r1.dermbench.ablation.compare import TrainedSystem, Tried, compare, difference_rows
from skingpt_r1.dermbench.ablation.run import by_chance
from skingpt_r1.dermcot.corpus import CorpusRecord, read_corpus
from skingpt_r1.dermcot.publish import Options, publish
from skingpt_r1.distill.recipe import load_recipe
from skingpt_r1.records import ResultRow, write_results
from skingpt_r1.stats.intervals import Bootstrap

FILTERED, UNFILTERED = "filtered", "unfiltered"


def slips(folder: Path) -> str:
    records: list[CorpusRecord] = list(read_corpus(folder))
    made = sum(
        record.observe.simulated_slip is not None or record.reason.simulated_slip is not None
        for record in records
    )
    return f"{len(records):,} narratives, {made:,} with a simulated slip"


def distilled(recipe: Path, root: Path, folder: Path, seed: int) -> tuple[Tried, list[ResultRow]]:
    settings = [
        "data.dataset=dermcot", f"data.root={root}", "data.split=official",
        "data.narratives=given", f"seed={seed}",
    ]  # fmt: skip
    system = TrainedSystem("adapter", load_recipe(recipe, settings), "features")
    found = compare([system], folder, table="filter_gain", differences=())
    return found.tried["adapter"], found.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=Path("runs/demo/corpus"))
    parser.add_argument("--recipe", type=Path, default=Path("nano_bias_text_visual"))
    parser.add_argument("--out", type=Path, default=Path("runs/filter_gain"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folders = {FILTERED: arguments.corpus}
    folders[UNFILTERED] = by_chance(arguments.corpus, arguments.out / "corpus")
    scored, rows = {}, []
    for name, folder in folders.items():
        root = arguments.out / f"published_{name}"
        publish(folder, root, Options(name=f"{name} corpus", workers=2))
        print(f"{name}: {slips(folder)}")
        scored[name], own = distilled(arguments.recipe, root, arguments.out / name, arguments.seed)
        rows += [row.model_copy(update={"system": name}) for row in own if row.system == "adapter"]
    pair = [(name, scored[name]) for name in (FILTERED, UNFILTERED)]
    rows += difference_rows("filter_gain", *pair, Bootstrap(arguments.seed))
    write_results(arguments.out, rows)
    for row in rows:
        low, high = (100 * (value or 0.0) for value in (row.low, row.high))
        print(f"{row.system}: {row.metric} {100 * row.value:.1f} % ({low:.1f} to {high:.1f})")
    print("For research, not for diagnosis.")


if __name__ == "__main__":
    main()
