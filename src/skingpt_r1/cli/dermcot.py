"""`skingpt dermcot`: candidate narratives in, a filtered corpus out.

`skingpt dermcot certify` and `publish`: raters' verdicts in, a published corpus out.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skingpt_r1.cli import closing, finish
from skingpt_r1.cli.options import (
    Device,
    Dtype,
    MaxCost,
    MaxDistance,
    RecipeFile,
    Settings,
    all_settings,
    run_folder,
    staged,
)
from skingpt_r1.data.overlap import MAX_DISTANCE
from skingpt_r1.dermcot.card import RENDERED_ONLY
from skingpt_r1.dermcot.corpus import KEPT, CorpusStats, corpus_path, count_corpus, result_rows
from skingpt_r1.dermcot.recipe import CorpusRecipe, SelectRecipe
from skingpt_r1.recipes import check_recipe, read_recipe, set_values
from skingpt_r1.records import write_results
from skingpt_r1.render.layouts import rendered_layout
from skingpt_r1.runs import own_run

if TYPE_CHECKING:
    from skingpt_r1.dermcot.pipeline import ScoreFunction, Tools
    from skingpt_r1.dermcot.write import Narrator, Step
    from skingpt_r1.ratings.certification import Certification, CertifyRules


CorpusFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a corpus.")]


dermcot_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="DermCoT: make, filter, certify and publish a corpus of reasoning narratives.",
    epilog=closing("skingpt dermcot build dermcot_demo --out runs/dermcot"),
)

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
    max_cost: MaxCost = None,
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
    told += all_settings(settings, device, dtype)
    chosen = read_recipe(CorpusRecipe, recipe, told)
    for name in (chosen.narrators.observe, chosen.narrators.reason):
        check_name(name)
    folder = run_folder(out, chosen.name)
    if dry_run:
        finish(*dry_run_lines(chosen, folder))
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
    epilog=closing("skingpt dermcot select runs/dermcot --set keep=5000 --set minimum_mean=4")
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


@dermcot_app.command(
    epilog=closing(
        "skingpt dermcot certify runs/dermcot --export for_raters --rater a --rater b",
        "skingpt dermcot certify runs/dermcot --import for_raters/ratings.csv",
        "skingpt dermcot certify runs/dermcot --simulated",
    )
)
def certify(
    folder: CorpusFolder,
    export: Annotated[
        Path | None, typer.Option(metavar="NEW", help="Write a folder for raters.")
    ] = None,
    rater: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Pseudonym of a rater; repeatable.")
    ] = None,
    ratings: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="A table that raters filled in.")
    ] = None,
    sound_rows: Annotated[
        bool, typer.Option("--sound-rows", help="Import the sound rows, count the wrong ones.")
    ] = False,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Rate by simulated raters; synthetic cases only.")
    ] = False,
    simulated_raters: Annotated[int, typer.Option(min=2, help="How many of them.")] = 4,
    seed: Annotated[int, typer.Option(help="Of assignment, order and simulation.")] = 0,
    recipe: Annotated[
        Path | None, typer.Option(help="Corpus recipe whose section `certify` gives the rules.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Have the held-out narratives rated, and decide which are certified.

    Without --export, --import or --simulated it says where things stand. The keys of --set are
    those of the recipe's section `certify`; what is not set stays as at the last decision.
    """
    from skingpt_r1.dermcot import certify as library

    if sum((export is not None, ratings is not None, simulated)) > 1:
        raise typer.BadParameter("--export, --import and --simulated are done one at a time")
    with own_run(folder):
        rules = _rules(folder, recipe, settings or ())
        if export is not None:
            made = library.export_to_raters(folder, export, rater or (), rules, seed=seed)
            counts = f"{made.rows:,} rows, {made.cases:,} cases, {made.pictures:,} pictures"
            finish(f"{made.folder}: {counts}; cases that need more raters: {made.short:,}")
            return
        if ratings is not None:
            _import(folder, ratings, rules, sound_rows=sound_rows)
        if simulated:
            library.simulate_raters(folder, rules, raters=simulated_raters, seed=seed)
        settled = library.settle(folder, rules)
    finish(*certification_lines(settled), f"history: {library.history_path(folder)}")


@dermcot_app.command(
    epilog=closing(
        "skingpt dermcot publish runs/dermcot --out my_corpus",
        "skingpt dermcot publish runs/dermcot --out my_corpus --licence folder='CC BY 4.0'",
        "skingpt dermcot publish runs/dermcot --out my_texts --without-images",
    )
)
def publish(
    folder: CorpusFolder,
    out: Annotated[Path, typer.Option(metavar="NEW", help="Directory of the data set.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the corpus; that of the directory by default.")
    ] = None,
    without_images: Annotated[
        bool, typer.Option("--without-images", help="Ids and texts alone.")
    ] = False,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE=TERMS", help="Terms under which your own pictures may be passed on."
        ),
    ] = None,
    max_distance: MaxDistance = MAX_DISTANCE,
    workers: Annotated[int, typer.Option(min=1, help="Processes that read pictures.")] = 1,
) -> None:
    """Write a corpus as a Hugging Face data set directory.

    It is refused when certified and training cases share an id, a group, a file or a picture, and
    when a source does not allow that its pictures are passed on.
    """
    from skingpt_r1.dermcot import publish as library

    options = library.Options(
        name=name or out.name,
        with_images=not without_images,
        licences=dict(_source_and_terms(word) for word in licence or ()),
        max_distance=max_distance,
        workers=workers,
    )
    with own_run(folder), staged() as progress:
        done = library.publish(folder, out, options, progress)
    counts = ", ".join(f"{split} {number:,}" for split, number in done.cases.items())
    typer.echo(f"{done.folder}: {counts}{' (published before)' if done.existed else ''}")
    typer.echo(f"card:     {done.folder / library.CARD}")
    given = f"--set data.dataset=dermcot --set data.root={done.folder} --set data.narratives=given"
    finish(f"distil:   skingpt distill RECIPE {given}")


def certification_lines(found: "Certification") -> Iterator[str]:
    """Where a certification stands, as lines of text."""
    from skingpt_r1.ratings.agreement import agreement_text

    total = sum(found.counts.values())
    kind = "simulated raters" if found.simulated else "raters"
    yield f"{total:,} held-out cases" + ("" if found.simulated is None else f", {kind}")
    for state, number in found.counts.items():
        yield f"{state:<12} {number:>7,}"
    for reason, number in sorted(found.reasons.items(), key=lambda item: (-item[1], item[0])):
        yield f"{'':<12} {number:>7,} {reason}"
    yield f"narratives that a rater rewrote: {found.corrected:,}; disputed: {found.disputed:,}"
    if found.simulated is not None:
        yield f"agreement of the {kind}:"
        yield agreement_text(found.agreement)


def _rules(folder: Path, recipe: Path | None, settings: Sequence[str]) -> "CertifyRules":
    from skingpt_r1.dermcot.certify import current_rules
    from skingpt_r1.ratings.certification import CertifyRules

    given = current_rules(folder) if recipe is None else read_recipe(CorpusRecipe, recipe).certify
    return check_recipe(CertifyRules, set_values(given.model_dump(), settings), "--set")


def _import(folder: Path, path: Path, rules: "CertifyRules", *, sound_rows: bool) -> None:
    from skingpt_r1.dermcot.certify import import_ratings

    now = datetime.now(UTC).isoformat(timespec="seconds")
    event = import_ratings(folder, path, rules, imported_at=now, sound_rows=sound_rows)
    if event is None:
        typer.echo(f"{path.name}: nothing new")
        return
    rest = f"unchanged {event.unchanged:,}, empty {event.unfilled:,}, wrong {event.refused:,}"
    typer.echo(f"{path.name}: {len(event.ratings):,} ratings imported; {rest}")


def _source_and_terms(word: str) -> tuple[str, str]:
    name, sign, terms = word.partition("=")
    if not (name and sign and terms.strip()):
        raise typer.BadParameter(f"{word!r} is not SOURCE=TERMS, for example folder='CC BY 4.0'")
    return name, terms.strip()


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
    unknown = counted.unknown_cost
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

    def narrators(folder: Path) -> "dict[Step, Narrator]":
        from skingpt_r1.dermcot.narrators import make_narrators

        return make_narrators(recipe, folder, max_cost=max_cost)

    def score() -> "ScoreFunction":
        from skingpt_r1.dermeval.report import load_evaluator
        from skingpt_r1.dermeval.scoring import make_scorer

        model = load_evaluator(recipe.score.evaluator, **recipe.models.model_dump())
        return make_scorer(model, batch_size=recipe.score.batch_size)

    name = f"dermeval:{recipe.score.evaluator}"
    if judges_unknown_skin(recipe):
        name = f"{name} ({RENDERED_ONLY})"
    return Tools(narrators, score, name, workers)


def judges_unknown_skin(recipe: CorpusRecipe) -> bool:
    """Whether the cases are photos, and the evaluator has learned from rendered skin alone."""
    from skingpt_r1.dermeval.report import NANO_EVALUATOR, knows_rendered_skin_only

    root, name = recipe.cases.root, recipe.score.evaluator
    if root is None or rendered_layout(root) is not None:
        return False
    return knows_rendered_skin_only(NANO_EVALUATOR if name == NANO else Path(name))


def _check_evaluator(name: str) -> None:
    """Refuse an evaluator that is not there before any work, and without loading one that is."""
    if name != NANO and not (Path(name) / "adapter_config.json").is_file():
        from skingpt_r1.dermeval.report import load_evaluator

        load_evaluator(name, device="cpu")


def _report(folder: Path) -> None:
    counted = count_corpus(folder)
    write_results(folder, result_rows(counted))
    _print_counts(folder, counted)


def _print_counts(folder: Path, counted: CorpusStats) -> None:
    finish(*stats_lines(counted), f"corpus: {folder}")


def _tally(counts: Sequence[tuple[str, int]]) -> str:
    shown = ", ".join(f"{value} {count:,}" for value, count in counts[:SHOWN])
    return shown if len(counts) <= SHOWN else f"{shown} and {len(counts) - SHOWN} more"
