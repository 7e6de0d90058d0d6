"""`skingpt bench report`: the tables and the page of benchmark runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1.cli.wording import RESEARCH, closing
from skingpt_r1.dermbench.report.data import Audit, ReportData
from skingpt_r1.dermbench.report.wording import count, interval, of_run, percent_interval
from skingpt_r1.errors import RecipeError


def add_report(app: typer.Typer) -> None:
    """Add the command to a group."""
    app.command(
        "report",
        epilog=closing(
            "skingpt bench report runs/bench",
            "skingpt bench report runs/bench --baseline base --out runs/bench/published "
            "--no-pictures",
            "skingpt bench report runs/bench runs/bench_ham10000 runs/bench_pad_ufes_20 "
            "--out runs/report",
        ),
    )(report)


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
    from skingpt_r1.dermbench.several_runs import summarise_runs
    from skingpt_r1.dermbench.summary import write_summary

    if out is None and len(folders) > 1:
        raise RecipeError(f"a report of {len(folders)} runs needs a folder of its own; give --out")
    summary = summarise_runs(
        folders, baseline=baseline, audits=find_audits(folders, ratings), pictures=pictures
    )
    written = write_summary(summary, folders[0] if out is None else out)
    for line in report_lines(summary.data):
        typer.echo(line)
    typer.echo(f"page:    {written.page}")
    typer.echo(f"tables:  {written.markdown}")
    typer.echo(f"results: {written.results}")
    typer.echo(RESEARCH)


def find_audits(
    folders: Sequence[Path], ratings: Path | None = None
) -> dict[Path, tuple[Audit, ...]]:
    """Checks of the judges of each run; none where nothing is judged, as in classification."""
    from skingpt_r1.dermbench.records import JUDGEMENTS

    judged = [path for path in folders if any((path / JUDGEMENTS).glob("*/*.jsonl"))]
    if ratings is None:
        return {path: tuple(_audits_of(path, None)) for path in judged}
    if len(judged) > 1:
        raise RecipeError(
            f"{len(judged)} of the runs are judged ({', '.join(map(str, judged))}), and ratings "
            "are of the answers of one; report that run alone with --ratings"
        )
    # Without a judged run the one that is read says what is missing.
    return {path: tuple(_audits_of(path, ratings)) for path in judged or folders[:1]}


def _audits_of(folder: Path, ratings: Path | None) -> Sequence[Audit]:
    from skingpt_r1.dermbench.audits import audit_run
    from skingpt_r1.dermbench.clinician_agreement import agreement_audits, measure_judges
    from skingpt_r1.dermbench.judged_scores import read_scores

    scores = read_scores(folder)
    found = audit_run(scores)
    if ratings is not None:
        found += agreement_audits(measure_judges(folder, scores, ratings))
    return found


def report_lines(data: ReportData) -> Iterator[str]:
    """The leaderboards in a few lines each."""
    for table in data.scores:
        yield of_run(f"{table.judge}, {table.protocol}", table.run) + ":"
        for row in table.rows:
            kind = "" if row.kind == "system" else f" ({row.kind})"
            scored = f"{count(row.scored)} of {count(row.asked)} scored"
            yield f"    {row.system}{kind}: {interval(row.overall)}, {scored}"
    for part in data.classifications:
        yield of_run(f"{part.benchmark}, {part.form}", part.run) + ":"
        for result in part.rows:
            kind = "" if result.kind == "system" else f" ({result.kind})"
            accuracy = percent_interval(result.metrics.get("accuracy"))
            yield f"    {result.system}{kind}: accuracy {accuracy}"
    for audit in data.audits:
        if audit.flagged:
            judge = of_run(audit.judge, audit.run)
            yield f"warning: {judge}, {audit.check}, {audit.subject}: {audit.verdict}"
    yield from data.notes
