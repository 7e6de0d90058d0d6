"""`skingpt demo`: the paper in small, from nothing, in minutes.

Corpus, filter, certification, distillation with its ablation, DermBench, three classification sets,
one report. Every stage is the library's own; a stopped demo continues where it stopped.

`skingpt real`: the rows of the demo on real photos.

Printing a comparison: the table of systems, the differences, one narrative before and after.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skingpt_r1.cli import finish
from skingpt_r1.cli.bench import report_lines
from skingpt_r1.cli.dermcot import certification_lines, corpus_tools, stats_lines
from skingpt_r1.cli.distill import print_ablation
from skingpt_r1.cli.options import Device, Dtype, RecipeFolder, all_settings, print_table, staged
from skingpt_r1.recipes import RECIPES
from skingpt_r1.records import ResultRow
from skingpt_r1.runs import own_run
from skingpt_r1.stats.intervals import Bootstrap, per_cent

if TYPE_CHECKING:
    from skingpt_r1.dermbench.ablation.compare import ComparedSystems
    from skingpt_r1.dermbench.report.data import ReportData
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
    models = all_settings((), device, dtype)
    with own_run(out):
        _make_corpus(recipes, out, models)
        ablation = _ablate(recipes, out, models)
        folders = [
            _run_dermbench(recipes, out, models),
            *(_classify(recipes, out, name, models) for name in SETS),
        ]
        evidence = _evidence(folders[0])
        data = _report(folders, out, [*ablation, *evidence])
    typer.echo("")
    for line in (*report_lines(data), *_ratio_lines(data)):
        typer.echo(line)
    for line in _evidence_lines(evidence):
        typer.echo(line)
    _print_case(out / "dermbench")
    typer.echo(f"\nreport: {out / 'report' / 'report.html'}")
    typer.echo(f"results: {out / 'results.json'}")
    finish(f"{(time.monotonic() - started) / 60:.1f} minutes")


def _make_corpus(recipes: Path, out: Path, models: Sequence[str]) -> None:
    """Build and certify the corpus; say what became of its candidates."""
    from skingpt_r1.dermcot.certify import simulate_raters
    from skingpt_r1.dermcot.corpus import count_corpus
    from skingpt_r1.dermcot.pipeline import build
    from skingpt_r1.dermcot.recipe import CorpusRecipe
    from skingpt_r1.recipes import read_recipe

    recipe = read_recipe(CorpusRecipe, recipes / "dermcot_demo.yaml", models)
    folder = out / "corpus"
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
    from skingpt_r1.dermbench.ablation.run import ablation_rows, load_ablation, run_ablation

    recipe = load_ablation(recipes / "ablation_demo.yaml", [f"corpus={out / 'corpus'}", *models])
    with staged() as progress:
        rows = run_ablation(recipe, recipes, out / "ablation", progress)
    typer.echo("")
    print_ablation(rows)
    return ablation_rows(rows)


def _models(out: Path) -> dict[str, str]:
    """What tables call a system -> its model."""
    from skingpt_r1.dermbench.ablation.compare import folder_name

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
    from skingpt_r1.dermbench.answers import run_systems
    from skingpt_r1.dermbench.recipe import load_bench_recipe

    batch = f"local.batch_size={TOGETHER}"
    chosen = load_bench_recipe(recipe, [*settings, batch, "systems=[]"])
    with staged() as progress:
        run_systems(chosen, folder, systems=systems, progress=progress)


def _evidence(folder: Path) -> "list[ResultRow]":
    """Try the verifier and the gate, and hold what the systems said against the pictures."""
    from skingpt_r1.data.intake import open_image
    from skingpt_r1.dermbench.answers import read_answers
    from skingpt_r1.dermbench.questions import data_root, read_questions, with_pictures
    from skingpt_r1.evidence.tables import rendered_rows, support_rows
    from skingpt_r1.evidence.verify import load_verifier

    verifier, boot = load_verifier(device="cpu"), Bootstrap(0, 500)
    asked = with_pictures(read_questions(folder), data_root(folder))
    pictures = [open_image(item.pictures[0]) for item in asked]
    said = {name: read_answers(folder, name) for name in (*SYSTEMS, "reference")}
    texts = {
        name: [answers[item.question.id].text for item in asked] for name, answers in said.items()
    }
    rows = rendered_rows(verifier, pictures=160, regions=40, others=50, boot=boot)
    return rows + support_rows(verifier, pictures, texts, boot)


def _evidence_lines(rows: "Sequence[ResultRow]") -> Iterator[str]:
    """The main figures, each with its control."""
    yield "\nEvidence: claims held against the picture (unseen rendered cases)"
    for row in rows:
        if row.metric.startswith(("AUC of true", "own region", "other pictures", "claims ")):
            ends = "" if row.low is None else f" ({row.low:.2f} to {row.high:.2f})"
            yield f"    {row.system}, {row.metric}: {row.value:.2f}{ends}"


def _report(folders: Sequence[Path], out: Path, ablation: "Sequence[ResultRow]") -> "ReportData":
    """Write the page, and every number of the demo into one `results.json`."""
    from skingpt_r1.dermbench.report.rows import write_report
    from skingpt_r1.dermbench.summary import summarise_runs

    data = summarise_runs(folders, baseline=BASE)
    write_report(data, out / "report", more=ablation, results=out)
    return data


def _ratio_lines(data: "ReportData") -> Iterator[str]:
    """How many times the plain backbone's mean score each system has."""
    board = data.of("scores")[0]
    base = board.cell(BASE, board.headline)
    if base is None or base.value <= 0:
        return
    yield "\nMean score over that of the plain backbone (the paper reports 1.41):"
    for name in SYSTEMS:
        mean = board.cell(name, board.headline)
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


Columns = Sequence[tuple[str, str]]


def print_comparison(
    comparison: "ComparedSystems", *, title: str, columns: Columns, before: str, after: str
) -> None:
    """Print the systems, the differences and one case.

    Args:
        comparison: what was found.
        title: above the table.
        columns: pairs (metric, heading).
        before: system whose narrative is shown first.
        after: system whose narrative is shown second.
    """
    systems = list(comparison.tried)
    headings = ["system", *(f"{heading} (95 % interval)" for _, heading in columns)]
    cells = {
        (row.system, row.metric): per_cent(row.value, row.low, row.high) for row in comparison.rows
    }

    def lines(names: Sequence[str]) -> list[list[str]]:
        return [
            [name, *(cells.get((name, metric), "-") for metric, _ in columns)] for name in names
        ]

    unseen = f"{title}, {len(comparison.cases)} unseen pictures"
    print_table(unseen, headings, lines(systems))
    paired = dict.fromkeys(row.system for row in comparison.rows if row.system not in systems)
    if paired:
        print_table("Differences, paired by case", headings, lines(list(paired)))
    unreadable = {name: int(tried.unreadable.sum()) for name, tried in comparison.tried.items()}
    if any(unreadable.values()):
        counted = ", ".join(f"{name}: {count}" for name, count in unreadable.items() if count)
        typer.echo(f"Unreadable answers, counted as wrong: {counted}")
    _print_narratives(comparison, before, after)
    finish()


def _print_narratives(comparison: "ComparedSystems", before: str, after: str) -> None:
    """The first case of the test set, whatever came out."""
    case = comparison.cases[0]
    typer.echo(f"\nThe first unseen case, {case.images[0].name}: {case.label}")
    for name in (before, after):
        typer.echo(f"\n{name}:\n  {comparison.tried[name].answers[0].text}")
    typer.echo("")


# Without matrices in the tower, which the demo's strongest row has.
REAL_STRONGER = "bias + lora + inject: + text + visual"
DATASETS = {"pad_ufes_20": "PAD-UFES-20, 6 classes", "ham10000": "HAM10000, 7 classes"}
# name of the row, end of the recipe's name, feature store, the system it starts from.
REAL_SYSTEMS = (
    (PAPER_TEXT, "bias_text", "bias", None),
    (PAPER, "bias_text_visual", "bias", None),
    (REAL_STRONGER, "lora_text_visual", "lora", PAPER),
)
DIFFERENCES = (
    (PAPER, "base"),
    (PAPER, PAPER_TEXT),
    (REAL_STRONGER, "base"),
    (REAL_STRONGER, PAPER),
)
COLUMNS = (
    ("balanced accuracy", "balanced accuracy, %"),
    ("diagnosis accuracy", "diagnosis right, %"),
    ("finding accuracy", "findings right, %"),
)


def real(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Holds pad_ufes_20/ and ham10000/.")],
    out: Annotated[Path, typer.Option(help="One folder per data set is made here.")] = Path(
        "runs/real"
    ),
    recipes: RecipeFolder = RECIPES,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Distil on real photos: before and after.

    PAD-UFES-20 is split by patient, HAM10000 by lesion.
    """
    from skingpt_r1.dermbench.ablation.compare import TrainedSystem, compare
    from skingpt_r1.distill.recipe import load_recipe

    for dataset, title in DATASETS.items():
        root = [f"data.root={data / dataset}", *all_settings((), device, dtype)]
        systems = [
            TrainedSystem(
                name, load_recipe(recipes / f"{dataset}_nano_{file}.yaml", root), features, start
            )
            for name, file, features, start in REAL_SYSTEMS
        ]
        with staged() as progress:
            comparison = compare(
                systems, out / dataset, table=dataset, differences=DIFFERENCES, progress=progress
            )
        print_comparison(
            comparison, title=title, columns=COLUMNS, before="base", after=REAL_STRONGER
        )
        typer.echo(f"results: {out / dataset / 'results.json'}\n")
