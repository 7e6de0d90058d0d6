"""`skingpt bench`: questions to systems, judgements, and the report.

`skingpt bench judge|audit|agree`: scores for answers, and how far they can be trusted.

`skingpt bench report`: the tables and the page of benchmark runs.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skingpt_r1.cli import closing, finish
from skingpt_r1.cli.options import (
    Device,
    Dtype,
    MaxCost,
    RecipeFile,
    Settings,
    all_settings,
    model_recipe,
    run_folder,
    staged,
)
from skingpt_r1.dermbench.judges.judge import JudgeOptions
from skingpt_r1.dermbench.judges.named import RUBRIC, is_language_model, open_judge
from skingpt_r1.dermbench.recipe import load_bench_recipe
from skingpt_r1.dermbench.records import JUDGEMENTS, LEDGER
from skingpt_r1.dermbench.report.data import COVERAGE, Audit, ReportData, of_run
from skingpt_r1.dermbench.report.wording import ends, figure, part_of, titled
from skingpt_r1.errors import RecipeError
from skingpt_r1.llm.budget import Ledger, Price
from skingpt_r1.runs import own_run
from skingpt_r1.text.rubric import Protocol

if TYPE_CHECKING:
    from skingpt_r1.dermbench.answers import SystemTally
    from skingpt_r1.dermbench.judgements import JudgedSystem
    from skingpt_r1.dermbench.judges.judge import Judge
    from skingpt_r1.dermbench.report.data import Audit
    from skingpt_r1.dermbench.systems.card import SystemCard


MovedData = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Where the pictures of the run have moved to."),
]
RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a benchmark run.")]


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
    max_cost: MaxCost = None,
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
    from skingpt_r1.dermbench.answers import run_systems

    chosen = load_bench_recipe(recipe, all_settings(settings, device, dtype))
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
    finish(*answer_lines(tallies), f"answers: {folder / 'answers'}")


@bench_app.command(
    epilog=closing(
        "skingpt bench judge runs/bench --judge rubric --judge dermeval",
        "skingpt bench judge runs/bench --judge openai/gpt-5 --repeats 3 --price 1.25 10 "
        "--max-cost 5",
    )
)
def judge(
    folder: RunDirectory,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="NAME",
            help="`rubric`, `dermeval`, `dermeval:DIR`, a model that inspect-ai can name, "
            "`URL#MODEL`, or a judge that another package brings; repeatable. `rubric` by default.",
        ),
    ] = None,
    system: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Judge this system alone; repeatable.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How often each answer is judged.")] = 1,
    integers: Annotated[
        bool, typer.Option("--integers", help="Whole numbers 1-5 instead of decimals 0-5.")
    ] = False,
    candidate_first: Annotated[
        bool,
        typer.Option("--candidate-first", help="Show it before the reference, to measure order."),
    ] = False,
    brief: Annotated[bool, typer.Option("--brief", help="DermEval: scores alone, faster.")] = False,
    data: MovedData = None,
    price: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="IN OUT", help="Of a language model, USD per million tokens."),
    ] = None,
    max_cost: MaxCost = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Judge the narratives of a run, against the references or without.

    The same command again continues a stopped run. What has no readable verdict is unscored, with
    its reason. Deterministic judges need no repeats.
    """
    from skingpt_r1.dermbench.questions import move_data

    chosen = list(dict.fromkeys(names or [RUBRIC]))
    options = JudgeOptions(
        protocol=Protocol.INTEGER_1_5 if integers else Protocol.DECIMAL_0_5,
        candidate_first=candidate_first,
        brief=brief,
        prices=_prices(chosen, price),
        models=model_recipe(device, dtype),
    )
    with own_run(folder):
        if data is not None:
            move_data(folder, data)
        ledger = Ledger(folder / LEDGER, max_cost)
        for one in [open_judge(name, options, ledger) for name in chosen]:
            for line in _judge_all(folder, one, system, repeats):
                typer.echo(line)
    finish(f"judgements: {folder / JUDGEMENTS}")


@bench_app.command(epilog=closing("skingpt bench audit runs/bench"))
def audit(
    folder: RunDirectory,
    ratings: Annotated[
        Path | None, typer.Option(help="Rating file of clinicians about answers of the run.")
    ] = None,
) -> None:
    """Check the judges of a run: repeats, length, order, own family, clinicians."""
    from skingpt_r1.dermbench.audits import audit_run, read_judged

    finish(*audit_lines(audit_run(read_judged(folder), ratings)))


@bench_app.command(
    epilog=closing("skingpt bench agree runs/bench clinicians.jsonl --out runs/agreement")
)
def agree(
    folder: RunDirectory,
    ratings: Annotated[Path, typer.Argument(help="Rating file of clinicians, on the scale 0-5.")],
    names: Annotated[
        list[str] | None,
        typer.Option("--judge", metavar="NAME", help="One judge; repeatable. All by default."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for results.json.")] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 2000,
) -> None:
    """How far judges agree with clinicians, dimension by dimension.

    Ratings belong to answers by the id `SYSTEM/QUESTION`, or by the question's id and the text.
    """
    from skingpt_r1.cli.dermeval import print_rows
    from skingpt_r1.dermbench.audits import measure_judges, read_judged
    from skingpt_r1.records import write_results

    reading = read_judged(folder)
    found = measure_judges(reading, ratings, judges=names or (), resamples=resamples)
    for entry in found:
        print_rows(entry.rows, f"{entry.judge}: {len(entry.pairs.ids)} answers")
        typer.echo(
            f"unscored by the judge: {entry.pairs.unscored_first}; by the clinicians: "
            f"{entry.pairs.unscored_second}; ratings of no answer: {entry.unmatched}"
        )
    if out is not None:
        with own_run(out):
            write_results(out, [row for entry in found for row in entry.rows])
        typer.echo(f"results: {out / 'results.json'}")
    finish()


def _judge_all(
    folder: Path, judge: "Judge", systems: Sequence[str] | None, repeats: int
) -> Iterator[str]:
    """Let one judge work, and say what became of the answers."""
    from skingpt_r1.dermbench.judgements import run_judge

    count = repeats if judge.most_attempts > 1 else 1
    with staged() as progress:
        tallies = run_judge(folder, judge, systems=systems, repeats=count, progress=progress)
    yield f"{judge.name}, {judge.protocol}:"
    yield from judged_lines(tallies)


def judged_lines(tallies: Iterable["JudgedSystem"]) -> Iterator[str]:
    """What became of the answers, a few lines for each system."""
    for tally in tallies:
        yield f"  {tally.system}: {tally.scored:,} of {tally.asked:,} scored"
        for reason, number in tally.unscored.most_common():
            yield f"      {number:,} unscored: {reason}"
        if tally.not_answered:
            yield f"      {tally.not_answered:,} questions have no answer yet"


def audit_lines(audits: Iterable["Audit"]) -> Iterator[str]:
    """One line for each check; a warning begins with `!`."""
    for found in audits:
        measure = found.measure
        number = (
            "-" if measure is None else f"{measure.value:.3f} ({ends(measure, 3)}, n {measure.n})"
        )
        mark = "!" if found.flagged else " "
        yield f"{mark} {found.judge} | {found.check} | {found.subject}: {number}; {found.verdict}"


def _prices(names: Sequence[str], price: tuple[float, float] | None) -> dict[str, Price]:
    if price is None:
        return {}
    models = [name for name in names if is_language_model(name)]
    if len(models) != 1:
        raise RecipeError(
            f"--price is that of one language model, and {len(models)} are asked; give one --judge "
            "with a price in each call"
        )
    return {models[0]: Price(input=price[0], output=price[1])}


@bench_app.command(
    epilog=closing(
        "skingpt bench report runs/bench",
        "skingpt bench report runs/bench --baseline base --out runs/bench/published --no-pictures",
        "skingpt bench report runs/bench runs/bench_ham10000 runs/bench_pad_ufes_20 "
        "--out runs/report",
    )
)
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Folders of benchmark runs, in the order wanted."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; that of the run by default.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="SYSTEM", help="The others are compared with it in classification."),
    ] = None,
    ratings: Annotated[
        Path | None,
        typer.Option(
            help="Rating file of clinicians, 0-5; the judges of the run are compared with them."
        ),
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures", help="Embed the pictures whose licence allows it."
        ),
    ] = True,
) -> None:
    """Write `report.html`, `report.md`, `results.json` and, with classes, `confusion.json`.

    The page is one file: it opens without a network and can be sent as it is. A run that is not
    finished can be reported too; what is missing is counted. Of several runs, which need --out,
    one report has all boards, all classification sets and all cases, each under the name of its
    run.
    """
    from skingpt_r1.dermbench.report.rows import write_report
    from skingpt_r1.dermbench.summary import summarise_runs

    if out is None and len(folders) > 1:
        raise RecipeError(f"a report of {len(folders)} runs needs a folder of its own; give --out")
    data = summarise_runs(folders, baseline=baseline, ratings=ratings, pictures=pictures)
    written = write_report(data, folders[0] if out is None else out)
    for line in report_lines(data):
        typer.echo(line)
    typer.echo(f"page:    {written.page}")
    typer.echo(f"tables:  {written.markdown}")
    finish(f"results: {written.results}")


def report_lines(data: ReportData) -> Iterator[str]:
    """The leaderboards in a few lines each."""
    for table in (*data.of("scores"), *data.of("classification")):
        yield f"{table.title}:"
        for system, kind in table.systems.items():
            shown = figure(table.cell(system, table.headline), table.kind)
            scored = table.cell(system, COVERAGE)
            said = (
                f"accuracy {shown}"
                if scored is None
                else f"{shown}, {part_of(scored, ' of ')} scored"
            )
            yield f"    {titled(system, kind)}: {said}"
    for audit in data.audits:
        if audit.flagged:
            judge = of_run(audit.judge, audit.run)
            yield f"warning: {judge}, {audit.check}, {audit.subject}: {audit.verdict}"
    yield from data.notes


def answer_lines(tallies: Sequence["SystemTally"]) -> Iterator[str]:
    """What became of the questions, a few lines for each system."""
    for tally in tallies:
        cut = f", {tally.cut:,} of them cut" if tally.cut else ""
        yield f"{tally.card.system}: {tally.answered:,} of {tally.asked:,} answered{cut}"
        for problem, number in tally.problems.most_common():
            yield f"    {number:,} without an answer: {problem}"
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
