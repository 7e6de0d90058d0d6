"""`skingpt demo`: corpus, evaluator, distillation, comparison; from nothing, in minutes."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skingpt_r1.cli.comparison import print_comparison
from skingpt_r1.cli.dermcot import corpus_tools, stats_lines
from skingpt_r1.cli.dermcot_certify import certification_lines
from skingpt_r1.cli.progress import staged

if TYPE_CHECKING:
    from collections.abc import Callable

PAPER, PAPER_TEXT = "bias: + text + visual", "bias: + text"
STRONGER = "bias + lora + inject: + text + visual"
# name of the row, recipe file, feature store, the system it starts from.
SYSTEMS = (
    (PAPER_TEXT, "nano_bias_text", "bias", None),
    (PAPER, "nano_bias_text_visual", "bias", None),
    (STRONGER, "nano_lora_text_visual", "lora", PAPER),
)
DIFFERENCES = (
    (PAPER, "base"),
    (PAPER, PAPER_TEXT),
    (STRONGER, "base"),
    (STRONGER, PAPER),
)
COLUMNS = (("diagnosis accuracy", "diagnosis right, %"), ("finding accuracy", "findings right, %"))
SIMULATED_RATERS = 4


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/demo"),
    recipes: Annotated[Path, typer.Option(help="Folder of the recipes.")] = Path("recipes"),
) -> None:
    """Make a corpus, filter it, distil, and compare.

    Runs on rendered skin and the embedded backbone, offline, in minutes on two CPU cores. The
    narratives are filtered by the trained evaluator; the unseen cases are those that simulated
    raters certify.
    """
    from skingpt_r1.distill.compare import System, compare
    from skingpt_r1.distill.recipe_files import load_recipe

    started = time.monotonic()
    with staged() as progress:
        corpus = _published_corpus(recipes / "dermcot_demo.yaml", out, progress)
    data = [
        "data.dataset=dermcot", f"data.root={corpus}", "data.split=official",
        "data.narratives=given",
    ]  # fmt: skip
    systems = [
        System(name, load_recipe(recipes / f"{file}.yaml", data), features, start)
        for name, file, features, start in SYSTEMS
    ]
    with staged() as progress:
        comparison = compare(systems, out, table="demo", differences=DIFFERENCES, progress=progress)
    print_comparison(
        comparison,
        title="Rendered skin, 16 conditions",
        columns=COLUMNS,
        before="base",
        after=STRONGER,
    )
    typer.echo(f"results: {out / 'results.json'}; {(time.monotonic() - started) / 60:.1f} minutes")


def _published_corpus(
    recipe_file: Path, out: Path, progress: "Callable[[str, int, int], None]"
) -> Path:
    """Build, certify and publish the demo's corpus; say what became of its candidates."""
    from skingpt_r1.dermcot.certify import simulate_raters
    from skingpt_r1.dermcot.pipeline import build
    from skingpt_r1.dermcot.publish import Options, publish
    from skingpt_r1.dermcot.recipe import load_corpus_recipe
    from skingpt_r1.dermcot.stats import count_corpus

    recipe = load_corpus_recipe(recipe_file)
    folder, published = out / "corpus", out / "published"
    build(recipe, folder, corpus_tools(recipe), progress)
    typer.echo("\nThe corpus (DermCoT): rendered cases, simulated slips, filtered by DermEval")
    for line in stats_lines(count_corpus(folder)):
        typer.echo(f"  {line}")
    found = simulate_raters(folder, recipe.certify, raters=SIMULATED_RATERS, seed=recipe.seed)
    typer.echo("\nCertification by simulated raters")
    for line in certification_lines(found):
        typer.echo(f"  {line}")
    done = publish(folder, published, Options(name=recipe.name, workers=2), progress)
    counts = ", ".join(f"{split} {number:,}" for split, number in done.cases.items())
    typer.echo(f"\nPublished: {published} ({counts})\n")
    return published
