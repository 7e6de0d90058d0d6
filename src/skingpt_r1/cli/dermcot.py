"""`skingpt dermcot`: candidate narratives in, a filtered corpus out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skingpt_r1.cli.dermcot_certify import add_certification
from skingpt_r1.cli.options import Device, Dtype, RecipeFile, Settings, model_settings, run_folder
from skingpt_r1.cli.progress import staged
from skingpt_r1.cli.wording import RESEARCH, closing
from skingpt_r1.dermcot.card import RENDERED_ONLY
from skingpt_r1.dermcot.corpus_part import corpus_path
from skingpt_r1.dermcot.recipe import CorpusRecipe, SelectRecipe, load_corpus_recipe
from skingpt_r1.dermcot.stats import KEPT, CorpusStats, count_corpus, result_rows
from skingpt_r1.recipes import check_recipe, set_values
from skingpt_r1.records import write_results
from skingpt_r1.render.folder import rendered_layout
from skingpt_r1.runs import own_run

if TYPE_CHECKING:
    from skingpt_r1.dermcot.pipeline import Narrators, Tools
    from skingpt_r1.dermcot.score import ScoreFunction

dermcot_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="DermCoT: make, filter, certify and publish a corpus of reasoning narratives.",
    epilog=closing("skingpt dermcot build dermcot_demo --out runs/dermcot"),
)

CorpusFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a corpus.")]
SHOWN = 12
NANO = "nano"


@dermcot_app.command(
    "build",
    epilog=closing(
        "skingpt dermcot build dermcot_demo --out runs/dermcot",
        "skingpt dermcot build dermcot_pad_ufes_20 --narrator openai/gpt-5 --dry-run",
    ),
)
def build_corpus(
    recipe: RecipeFile,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the corpus; runs/<name> by default.")
    ] = None,
    narrator: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="`offline`, `own:nano`, `own:DIR`, a model that inspect-ai can name, or "
            "`URL#MODEL`; for both texts.",
        ),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="Stop before this much is paid.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked and paid, and stop.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw and look.")] = 2,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Make a corpus by a recipe: observe, reason, normalise, audit, score, select.

    The same command again continues a stopped run.
    """
    from skingpt_r1.dermcot.narrators import check_models, check_name
    from skingpt_r1.dermcot.pipeline import build

    told = [f"narrators.{step}={narrator}" for step in ("observe", "reason") if narrator]
    chosen = load_corpus_recipe(recipe, [*(settings or ()), *told, *model_settings(device, dtype)])
    for name in (chosen.narrators.observe, chosen.narrators.reason):
        check_name(name)
    folder = run_folder(out, chosen.name)
    if dry_run:
        for line in dry_run_lines(chosen, folder):
            typer.echo(line)
        typer.echo(RESEARCH)
        return
    if not corpus_path(folder).is_file():
        check_models(chosen, folder, max_cost=max_cost)
        _check_evaluator(chosen.score.evaluator)
    if judges_unknown_skin(chosen):
        typer.echo(
            f"note: the cases are photos, and the evaluator {chosen.score.evaluator!r} "
            f"{RENDERED_ONLY}; what it keeps is not known to be better. Name one that has learned "
            "from ratings of photos with --set score.evaluator=DIR",
            err=True,
        )
    with own_run(folder):
        with staged() as progress:
            build(chosen, folder, corpus_tools(chosen, max_cost, workers), progress)
        _report(folder)


@dermcot_app.command(
    epilog=closing(
        "skingpt dermcot select runs/dermcot --set keep=5000 --set minimum_mean=4",
    )
)
def select(folder: CorpusFolder, settings: Settings = None) -> None:
    """Select again among scored candidates, with other limits.

    The keys are those of the recipe's section `select`; what is not set stays as it was.
    """
    from skingpt_r1.dermcot.pipeline import read_selection, select_corpus

    values = set_values(read_selection(folder), settings or ())
    chosen = check_recipe(SelectRecipe, values, "--set")
    with own_run(folder):
        with staged() as progress:
            select_corpus(folder, chosen, progress)
        _report(folder)


@dermcot_app.command(epilog=closing("skingpt dermcot stats runs/dermcot"))
def stats(folder: CorpusFolder) -> None:
    """Count what was kept, what was dropped and why, and what it cost.

    Also works on a corpus that is not finished. Writes nothing.
    """
    _print_counts(folder, count_corpus(folder))


add_certification(dermcot_app)


def stats_lines(counted: CorpusStats) -> Iterator[str]:
    """The counts of a corpus as lines of text."""
    parts = ", ".join(f"{name} {count:,}" for name, count in sorted(counted.cases.items()))
    yield f"cases: {parts}"
    for stage, counts in counted.stages.items():
        yield f"{stage:<10} {counts.passed:>7,} of {counts.entered:,} passed"
        for reason, count in counts.dropped.most_common():
            yield f"{'':<10} {count:>7,} dropped: {reason}"
    for group in counted.scored:
        means = counted.mean_scores(group)
        overall = sum(means.values()) / len(means)
        each = ", ".join(f"{name} {value:.2f}" for name, value in means.items())
        yield f"mean score of {counted.scored[group]:,} {group}: {overall:.2f} ({each})"
    for kind, values in counted.kept.items():
        yield f"kept by {kind}: {_tally(values.most_common())}"
    if counted.slips:
        made, kept = counted.slips["made"], counted.slips[KEPT]
        yield f"simulated slips among the scored: {made:,}, of these kept: {kept:,}"
    yield f"held out for certification: {counted.held_out:,}"
    unknown = sum(counts.unknown_costs for counts in counted.stages.values())
    more = f", and {unknown:,} texts at an unknown price" if unknown else ""
    yield f"cost: {counted.cost_usd:.4f} US dollars{more}"


def dry_run_lines(recipe: CorpusRecipe, folder: Path) -> Iterator[str]:
    """What a build would do, ask and pay, without doing it."""
    from skingpt_r1.dermcot.narrators import estimate_lines

    cases = recipe.cases
    count = "all" if cases.count is None else f"{cases.count:,}"
    yield f"{folder}: {count} candidates of {cases.dataset}, {cases.held_out:,} held out"
    yield from estimate_lines(recipe, folder)
    yield f"scored by dermeval {recipe.score.evaluator}"


def corpus_tools(recipe: CorpusRecipe, max_cost: float | None = None, workers: int = 2) -> "Tools":
    """The narrators and the evaluator that a recipe names, each made when it is needed."""
    from skingpt_r1.dermcot.pipeline import Tools

    def narrators(folder: Path) -> "Narrators":
        from skingpt_r1.dermcot.narrators import make_narrators

        return make_narrators(recipe, folder, max_cost=max_cost)

    def score() -> "ScoreFunction":
        from skingpt_r1.dermeval.evaluator import load_evaluator
        from skingpt_r1.dermeval.scoring import make_scorer

        model = load_evaluator(recipe.score.evaluator, **recipe.models.model_dump())
        return make_scorer(model, batch_size=recipe.score.batch_size)

    name = f"dermeval:{recipe.score.evaluator}"
    if judges_unknown_skin(recipe):
        name = f"{name} ({RENDERED_ONLY})"
    return Tools(narrators, score, name, workers)


def judges_unknown_skin(recipe: CorpusRecipe) -> bool:
    """Whether the cases are photos, and the evaluator has learned from rendered skin alone."""
    from skingpt_r1.dermeval.card import NANO_EVALUATOR, knows_rendered_skin_only

    root, name = recipe.cases.root, recipe.score.evaluator
    if root is None or rendered_layout(root) is not None:
        return False
    return knows_rendered_skin_only(NANO_EVALUATOR if name == NANO else Path(name))


def _check_evaluator(name: str) -> None:
    """Refuse an evaluator that is not there before any work, and without loading one that is."""
    if name != NANO and not (Path(name) / "adapter_config.json").is_file():
        from skingpt_r1.dermeval.evaluator import load_evaluator

        load_evaluator(name, device="cpu")


def _report(folder: Path) -> None:
    counted = count_corpus(folder)
    write_results(folder, result_rows(counted))
    _print_counts(folder, counted)


def _print_counts(folder: Path, counted: CorpusStats) -> None:
    for line in stats_lines(counted):
        typer.echo(line)
    typer.echo(f"corpus: {folder}")
    typer.echo(RESEARCH)


def _tally(counts: Sequence[tuple[str, int]]) -> str:
    shown = ", ".join(f"{value} {count:,}" for value, count in counts[:SHOWN])
    return shown if len(counts) <= SHOWN else f"{shown} and {len(counts) - SHOWN} more"
