"""`skingpt demo`: the paper in small, from nothing, in minutes.

Corpus, filter, certification, distillation with its ablation, DermBench, three classification sets,
one report. Every stage is the library's own; a stopped demo continues where it stopped.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skingpt_r1.cli.ablate import print_ablation
from skingpt_r1.cli.bench_report import find_audits, report_lines
from skingpt_r1.cli.dermcot import corpus_tools, stats_lines
from skingpt_r1.cli.dermcot_certify import certification_lines
from skingpt_r1.cli.options import Device, Dtype, RecipeFolder, model_settings
from skingpt_r1.cli.progress import staged
from skingpt_r1.cli.wording import RESEARCH
from skingpt_r1.recipes import RECIPES
from skingpt_r1.runs import own_run

if TYPE_CHECKING:
    from skingpt_r1.dermbench.report.data import ReportData
    from skingpt_r1.dermbench.summary import Summary
    from skingpt_r1.records import ResultRow

PAPER_TEXT, PAPER = "bias: + text", "bias: + text + visual"
STRONGER = "bias + lora + tower + inject: + text + visual"
# What tables call a system -> its cell of the ablation.
SYSTEMS = {
    "base": None,
    "bias_text": PAPER_TEXT,
    "bias_text_visual": PAPER,
    "bias_lora_tower_inject": STRONGER,
}
BASE, BEST = "base", "bias_lora_tower_inject"
SIMULATED_RATERS = 4
# Rendered cases that the corpus does not have, in the layouts of three public sets.
SETS = ("ham10000", "pad_ufes_20", "fitzpatrick17k")
SET_CASES, SET_SEED, SET_SIZE = 120, 4100, 112
TOGETHER = 64  # small pictures and the embedded backbone: more are decoded together than elsewhere


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("runs/demo"),
    recipes: RecipeFolder = RECIPES,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Make a corpus, filter it, distil, and compare: the paper in small.

    Runs on rendered skin and the embedded backbone, offline, in minutes on two CPU cores. The
    narratives are filtered by the trained evaluator; the unseen cases are those that simulated
    raters certify.
    """
    started = time.monotonic()
    models = model_settings(device, dtype)
    with own_run(out):
        _make_corpus(recipes, out, models)
        ablation = _ablate(recipes, out, models)
        folders = [
            _run_dermbench(recipes, out, models),
            *(_classify(recipes, out, name, models) for name in SETS),
        ]
        summary = _report(folders, out, ablation)
    typer.echo("")
    for line in (*report_lines(summary.data), *_ratio_lines(summary.data)):
        typer.echo(line)
    _print_case(out / "dermbench")
    typer.echo(f"\nreport: {out / 'report' / 'report.html'}")
    typer.echo(f"results: {out / 'results.json'}")
    typer.echo(f"{(time.monotonic() - started) / 60:.1f} minutes")
    typer.echo(RESEARCH)


def _make_corpus(recipes: Path, out: Path, models: Sequence[str]) -> None:
    """Build and certify the corpus; say what became of its candidates."""
    from skingpt_r1.dermcot.certify import simulate_raters
    from skingpt_r1.dermcot.pipeline import build
    from skingpt_r1.dermcot.recipe import load_corpus_recipe
    from skingpt_r1.dermcot.stats import count_corpus

    recipe, folder = load_corpus_recipe(recipes / "dermcot_demo.yaml", models), out / "corpus"
    with staged() as progress:
        build(recipe, folder, corpus_tools(recipe), progress)
    typer.echo("The corpus (DermCoT): rendered cases, simulated slips, filtered by DermEval")
    for line in stats_lines(count_corpus(folder)):
        typer.echo(f"  {line}")
    found = simulate_raters(folder, recipe.certify, raters=SIMULATED_RATERS, seed=recipe.seed)
    typer.echo("\nCertification by simulated raters")
    for line in certification_lines(found):
        typer.echo(f"  {line}")


def _ablate(recipes: Path, out: Path, models: Sequence[str]) -> "list[ResultRow]":
    """Distil every row of the ablation, print it, and give its numbers."""
    from skingpt_r1.dermbench.ablation.ablation_recipe import load_ablation
    from skingpt_r1.dermbench.ablation.run import run_ablation
    from skingpt_r1.dermbench.ablation.table import ablation_rows

    recipe = load_ablation(recipes / "ablation_demo.yaml", [f"corpus={out / 'corpus'}", *models])
    with staged() as progress:
        rows = run_ablation(recipe, recipes, out / "ablation", progress)
    typer.echo("")
    print_ablation(rows)
    return ablation_rows(rows)


def _models(out: Path) -> dict[str, str]:
    """What tables call a system -> its model."""
    from skingpt_r1.distill.compare import folder_name

    runs = out / "ablation" / "seed_0" / "filtered"
    return {
        name: f"skingpt/{'nano' if cell is None else runs / folder_name(cell) / 'adapter'}"
        for name, cell in SYSTEMS.items()
    }


def _systems(out: Path) -> list[str]:
    """The systems as `skingpt bench run --system` takes them."""
    named = [f"{name}={model}" for name, model in _models(out).items()]
    return [*named, "majority=control/majority"]


def _controls(out: Path) -> list[str]:
    """What takes the pictures from the best system, and the reference itself."""
    model = _models(out)[BEST]
    return [
        f"{BEST}_blank=control/blank-images:{model}",
        f"{BEST}_shuffled=control/shuffled-images:{model}",
        "reference=control/reference",
    ]


def _run_dermbench(recipes: Path, out: Path, models: Sequence[str]) -> Path:
    """Ask all systems about the certified cases, and judge what they say."""
    from skingpt_r1.dermbench.judgements import run_judge
    from skingpt_r1.dermbench.judges.rules import RubricJudge

    root = out / "ablation" / "published_filtered"
    folder = out / "dermbench"
    systems = [*_systems(out), *_controls(out)]
    _ask(recipes / "dermbench_certified.yaml", folder, [f"data.root={root}", *models], systems)
    with staged() as progress:
        run_judge(folder, RubricJudge(), progress=progress)
    return folder


def _classify(recipes: Path, out: Path, name: str, models: Sequence[str]) -> Path:
    """Draw a set in the layout of a public one, and let the systems sort it."""
    from skingpt_r1.render.layouts import LAYOUTS

    root, folder = out / "data" / name, out / f"classification_{name}"
    LAYOUTS[name](root, SET_CASES, SET_SEED + SETS.index(name), SET_SIZE)
    _ask(recipes / f"bench_{name}.yaml", folder, [f"data.root={root}", *models], _systems(out))
    return folder


def _ask(recipe: Path, folder: Path, settings: Sequence[str], systems: Sequence[str]) -> None:
    from skingpt_r1.dermbench.recipe import load_bench_recipe
    from skingpt_r1.dermbench.run_systems import run_systems

    batch = f"local.batch_size={TOGETHER}"
    chosen = load_bench_recipe(recipe, [*settings, batch, "systems=[]"])
    with staged() as progress:
        run_systems(chosen, folder, systems=systems, progress=progress)


def _report(folders: Sequence[Path], out: Path, ablation: "Sequence[ResultRow]") -> "Summary":
    """Write the page, and every number of the demo into one `results.json`."""
    from skingpt_r1.dermbench.several_runs import summarise_runs
    from skingpt_r1.dermbench.summary import write_summary

    summary = summarise_runs(folders, baseline=BASE, audits=find_audits(folders))
    write_summary(summary, out / "report", more=ablation, results=out)
    return summary


def _ratio_lines(data: "ReportData") -> Iterator[str]:
    """How many times the plain backbone's mean score each system has."""
    means = {row.system: row.overall for row in data.scores[0].rows}
    base = means.get(BASE)
    if base is None or base.value <= 0:
        return
    yield "\nMean score over that of the plain backbone (the paper reports 1.41):"
    for name in SYSTEMS:
        mean = means.get(name)
        if name != BASE and mean is not None:
            yield f"    {name}: {mean.value / base.value:.2f}"


def _print_case(folder: Path) -> None:
    """The first unseen case, whatever came out."""
    from skingpt_r1.dermbench.answers import read_answers
    from skingpt_r1.dermbench.questions import read_questions

    first = read_questions(folder)[0]
    typer.echo(f"\nThe first unseen case, {first.images[0]}: {first.label}")
    for name in (BASE, BEST):
        typer.echo(f"\n{name}:\n  {read_answers(folder, name)[first.id].text}")
