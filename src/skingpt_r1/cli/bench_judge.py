"""`skingpt bench judge|audit|agree`: scores for answers, and how far they can be trusted."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skingpt_r1.cli.options import Device, Dtype, model_recipe
from skingpt_r1.cli.progress import staged
from skingpt_r1.cli.wording import RESEARCH, closing
from skingpt_r1.dermbench.judges.named import RUBRIC, JudgeOptions, is_language_model, open_judge
from skingpt_r1.dermbench.records import JUDGEMENTS, LEDGER
from skingpt_r1.dermbench.report.wording import ends
from skingpt_r1.errors import RecipeError
from skingpt_r1.llm.api_recipe import Price
from skingpt_r1.llm.budget import Ledger
from skingpt_r1.runs import own_run
from skingpt_r1.text.rubric import Protocol

if TYPE_CHECKING:
    from skingpt_r1.dermbench.judgements import JudgedSystem
    from skingpt_r1.dermbench.judges.judge import Judge
    from skingpt_r1.dermbench.report.data import Audit

MovedData = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Where the pictures of the run have moved to."),
]
RunDirectory = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a benchmark run.")]


def add_judging(app: typer.Typer) -> None:
    """Add the commands to a group."""
    app.command(
        "judge",
        epilog=closing(
            "skingpt bench judge runs/bench --judge rubric --judge dermeval",
            "skingpt bench judge runs/bench --judge openai/gpt-5 --repeats 3 --price 1.25 10 "
            "--max-cost 5",
        ),
    )(judge)
    app.command(
        "audit",
        epilog=closing("skingpt bench audit runs/bench"),
    )(audit)
    app.command(
        "agree",
        epilog=closing("skingpt bench agree runs/bench clinicians.jsonl --out runs/agreement"),
    )(agree)


def judge(
    folder: RunDirectory,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--judge",
            metavar="NAME",
            help="`rubric`, `dermeval`, `dermeval:DIR`, a model that inspect-ai can name, or "
            "`URL#MODEL`; repeatable. `rubric` by default.",
        ),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Judge this system alone; repeatable."),
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
    max_cost: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="Stop before this much is paid.")
    ] = None,
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
    typer.echo(f"judgements: {folder / JUDGEMENTS}")
    typer.echo(RESEARCH)


def audit(
    folder: RunDirectory,
    ratings: Annotated[
        Path | None, typer.Option(help="Rating file of clinicians about answers of the run.")
    ] = None,
) -> None:
    """Check the judges of a run: repeats, length, order, own family, clinicians."""
    from skingpt_r1.dermbench.audits import audit_run
    from skingpt_r1.dermbench.clinician_agreement import agreement_audits, measure_judges
    from skingpt_r1.dermbench.judged_scores import read_scores

    scores = read_scores(folder)
    found = audit_run(scores)
    if ratings is not None:
        found += agreement_audits(measure_judges(folder, scores, ratings))
    for line in audit_lines(found):
        typer.echo(line)
    typer.echo(RESEARCH)


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
    from skingpt_r1.dermbench.clinician_agreement import measure_judges
    from skingpt_r1.dermbench.judged_scores import read_scores
    from skingpt_r1.records import write_results

    found = measure_judges(
        folder, read_scores(folder), ratings, judges=names or (), resamples=resamples
    )
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
    typer.echo(RESEARCH)


def _judge_all(
    folder: Path, judge: "Judge", systems: Sequence[str] | None, repeats: int
) -> Iterator[str]:
    """Let one judge work, and say what became of the answers."""
    from skingpt_r1.dermbench.judgements import run_judge

    count = repeats if judge.most_attempts > 1 else 1
    with staged() as progress:
        tallies = run_judge(folder, judge, systems=systems, repeats=count, progress=progress)
    yield f"{judge.name}, {judge.protocol}:"
    yield from tally_lines(tallies)


def tally_lines(tallies: Iterable["JudgedSystem"]) -> Iterator[str]:
    """What became of the answers, a few lines for each system."""
    for tally in tallies:
        yield f"  {tally.system}: {tally.scored:,} of {tally.asked:,} scored"
        for reason, count in tally.unscored.most_common():
            yield f"      {count:,} unscored: {reason}"
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
