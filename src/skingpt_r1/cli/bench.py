"""`skingpt bench`: questions to systems, judgements, and the report."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skingpt_r1.cli.bench_judge import add_judging
from skingpt_r1.cli.bench_report import add_report
from skingpt_r1.cli.options import Device, Dtype, RecipeFile, Settings, model_settings, run_folder
from skingpt_r1.cli.progress import staged
from skingpt_r1.cli.wording import RESEARCH, closing
from skingpt_r1.dermbench.recipe import load_bench_recipe

if TYPE_CHECKING:
    from skingpt_r1.dermbench.run_systems import SystemTally
    from skingpt_r1.dermbench.systems.card import SystemCard

bench_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="DermBench: ask systems, judge what they say, and report it.",
    epilog=closing("skingpt bench run dermbench_demo --out runs/bench"),
)

SHOWN = 5


@bench_app.command(
    "run",
    epilog=closing(
        "skingpt bench run dermbench_demo --out runs/bench",
        "skingpt bench run dermbench_demo --out runs/bench "
        "--system mine=skingpt/runs/mine/adapter --system openai/gpt-5 --max-cost 5",
    ),
)
def run_bench(
    recipe: RecipeFile,
    settings: Settings = None,
    system: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]SYSTEM",
            help="Asked beside those of the recipe; repeatable. `skingpt/nano`, `skingpt/DIR`, "
            "either with `#plain`, a model that inspect-ai can name, `URL#MODEL`, or "
            "`control/majority`, `control/reference`, `control/shuffled-images:SYSTEM`, "
            "`control/blank-images:SYSTEM`.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/<name> by default.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="Stop before this much is paid.")
    ] = None,
    allow_overlap: Annotated[
        bool,
        typer.Option(
            "--allow-overlap", help="Ask systems that were trained on questions, and mark these."
        ),
    ] = False,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Ask every question of every system.

    The same command again continues a stopped run and repeats calls that failed; systems may be
    added.
    """
    from skingpt_r1.dermbench.run_systems import run_systems

    chosen = load_bench_recipe(recipe, [*(settings or ()), *model_settings(device, dtype)])
    folder = run_folder(out, chosen.name)
    with staged() as progress:
        tallies = run_systems(
            chosen,
            folder,
            systems=system or (),
            max_cost=max_cost,
            allow_overlap=allow_overlap,
            progress=progress,
        )
    for line in tally_lines(tallies):
        typer.echo(line)
    typer.echo(f"answers: {folder / 'answers'}")
    typer.echo(RESEARCH)


add_judging(bench_app)
add_report(bench_app)


def tally_lines(tallies: Sequence["SystemTally"]) -> Iterator[str]:
    """What became of the questions, a few lines for each system."""
    for tally in tallies:
        cut = f", {tally.cut:,} of them cut" if tally.cut else ""
        yield f"{tally.card.system}: {tally.answered:,} of {tally.asked:,} answered{cut}"
        for problem, count in tally.problems.most_common():
            yield f"    {count:,} without an answer: {problem}"
        yield from _overlap_lines(tally.card)


def _overlap_lines(card: "SystemCard") -> Iterator[str]:
    if card.unchecked:
        yield f"    overlap with its training: not checked; {card.unchecked}"
    elif card.overlapping:
        yield f"    trained on {len(card.overlapping):,} of the questions, which are marked:"
        yield from (f"      {line}" for line in card.leaks[:SHOWN])
        if len(card.leaks) > SHOWN:
            yield f"      and {len(card.leaks) - SHOWN:,} more"
    else:
        yield f"    overlap with its training: none in {card.compared:,} cases"
    yield from (f"    known: {line}" for line in card.known)
