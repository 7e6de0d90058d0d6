"""`skingpt dermeval`: train an evaluator, score narratives with it, compare rating files."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1.cli import closing, finish
from skingpt_r1.cli.options import (
    Device,
    Dtype,
    RecipeFile,
    RunFolder,
    Settings,
    all_settings,
    model_recipe,
    print_table,
    run_folder,
    staged,
)
from skingpt_r1.records import ResultRow, write_results
from skingpt_r1.runs import own_run
from skingpt_r1.stats.intervals import NO_INTERVAL

dermeval_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="DermEval: train an evaluator, score narratives without a reference, compare ratings.",
    epilog=closing("skingpt dermeval score narratives.jsonl --out runs/scores"),
)


@dermeval_app.command(
    epilog=closing(
        "skingpt dermeval train dermeval_nano --out runs/dermeval",
        "skingpt dermeval train dermeval_nano --export my_evaluator",
    )
)
def train(
    recipe: RecipeFile,
    settings: Settings = None,
    out: RunFolder = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Also copy the evaluator there, with a card of what was measured."),
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Train an evaluator in two stages and measure it.

    The same command again continues a stopped run.
    """
    from skingpt_r1.dermeval.recipe import EvaluatorRecipe
    from skingpt_r1.dermeval.report import evaluator_card, export_evaluator
    from skingpt_r1.dermeval.run import train_evaluator
    from skingpt_r1.recipes import read_recipe

    chosen = read_recipe(EvaluatorRecipe, recipe, all_settings(settings, device, dtype))
    folder = run_folder(out, chosen.name)
    with staged() as progress:
        done = train_evaluator(chosen, folder, progress=progress, quiet=not sys.stderr.isatty())
    print_rows(done.rows, "Simulated raters" if chosen.data.train is None else "Raters")
    if export is not None:
        export_evaluator(done.adapter, export, evaluator_card(chosen, done.model.config, done.rows))
        typer.echo(f"exported:  {export}")
    typer.echo(f"evaluator: {done.adapter}")
    finish(f"results:   {folder / 'results.json'}")


@dermeval_app.command(
    epilog=closing(
        "skingpt dermeval score narratives.jsonl --out runs/scores",
        "skingpt dermeval score texts.jsonl --out runs/scores --brief --model runs/mine/adapter",
    )
)
def score(
    file: Annotated[
        Path, typer.Argument(help="JSON Lines with id, image and diagnostic_text in every row.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; the scores are put there.")],
    model: Annotated[
        str, typer.Option(help="`nano`, or the adapter folder of a trained evaluator.")
    ] = "nano",
    brief: Annotated[bool, typer.Option("--brief", help="Scores alone: faster.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Narratives judged together.")] = 32,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Score narratives about pictures, without a reference.

    The same command again continues a stopped run. What cannot be read is unscored, with a reason.
    """
    from skingpt_r1.dermeval.report import load_evaluator
    from skingpt_r1.dermeval.scoring import score_file

    evaluator = load_evaluator(model, **model_recipe(device, dtype).model_dump())
    with staged() as progress:
        done = score_file(
            evaluator,
            f"dermeval:{model}",
            file,
            out,
            brief=brief,
            batch_size=batch_size,
            progress=lambda finished, total: progress("judging", finished, total),
        )
    reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(done.unscored.items()))
    typer.echo(f"{done.scored} scored, {sum(done.unscored.values())} unscored {reasons}".rstrip())
    print_rows(done.rows, "Mean scores", no_ends="")
    finish(f"ratings: {done.path}")


@dermeval_app.command(
    epilog=closing(
        "skingpt dermeval agree raters.jsonl runs/scores/ratings.jsonl --out runs/agreement"
    )
)
def agree(
    first: Annotated[Path, typer.Argument(help="A rating file.")],
    second: Annotated[Path, typer.Argument(help="Another one about the same narratives.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for results.json and the Bland-Altman picture.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 2000,
) -> None:
    """How far two rating files agree, dimension by dimension.

    Several raters of a file are averaged first. Narratives that only one file has are counted.
    """
    from skingpt_r1.ratings.agreement import measure_agreement, pair_ratings
    from skingpt_r1.ratings.rating import read_ratings

    pairs = pair_ratings(read_ratings(first), read_ratings(second))
    rows = measure_agreement(pairs, resamples=resamples)
    print_rows(rows, f"{len(pairs.ids)} narratives in both files")
    one, two = first.name, second.name
    typer.echo(f"only in {one}: {pairs.only_first}; only in {two}: {pairs.only_second}")
    typer.echo(f"unscored in {one}: {pairs.unscored_first}; in {two}: {pairs.unscored_second}")
    if out is not None:
        from skingpt_r1.ratings.agreement import draw_bland_altman

        with own_run(out):
            draw_bland_altman(pairs, out / "bland_altman.png", (first.stem, second.stem))
            write_results(out, rows)
        typer.echo(f"results: {out / 'results.json'}; picture: {out / 'bland_altman.png'}")
    finish()


def print_rows(rows: Sequence[ResultRow], title: str, *, no_ends: str = NO_INTERVAL) -> None:
    """Print a table: a line for each system, a column for each measure that it shares.

    Args:
        rows: of the table.
        title: above the table.
        no_ends: what stands beside a number without an interval.
    """
    systems = list(dict.fromkeys(row.system for row in rows))
    metrics = list(dict.fromkeys(row.metric for row in rows))
    if no_ends and all(row.low is None for row in rows):
        title, no_ends = f"{title}; {no_ends}", ""
    cells = {(row.system, row.metric): _cell(row, no_ends) for row in rows}
    wide = len(metrics) > len(systems) + 4
    if wide:
        cells = {(metric, system): cell for (system, metric), cell in cells.items()}
    down, across = (metrics, systems) if wide else (systems, metrics)
    lines = [[line, *(cells.get((line, name), "-") for name in across)] for line in down]
    print_table(title, ["", *across], lines)


def _cell(row: ResultRow, no_ends: str) -> str:
    ends = no_ends if row.low is None else f"{row.low:.3f} to {row.high:.3f}"
    return f"{row.value:.3f} ({ends})" if ends else f"{row.value:.3f}"
