"""`skingpt bench report`: the tables and the page of a benchmark run."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1.cli.wording import RESEARCH, closing
from skingpt_r1.dermbench.report.wording import count, interval, percent_interval
from skingpt_r1.dermbench.report_data import Audit, ReportData


def add_report(app: typer.Typer) -> None:
    """Add the command to a group."""
    app.command(
        "report",
        epilog=closing(
            "skingpt bench report runs/bench",
            "skingpt bench report runs/bench --baseline base --out runs/bench/published "
            "--no-pictures",
        ),
    )(report)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a benchmark run.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the files; that of the run by default.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="SYSTEM", help="The others are compared with it in classification."),
    ] = None,
    ratings: Annotated[
        Path | None,
        typer.Option(help="Rating file of clinicians, 0-5; the judges are compared with them."),
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures", help="Embed the pictures whose licence allows it."
        ),
    ] = True,
) -> None:
    """Write `report.html`, `report.md` and `results.json`.

    The page is one file: it opens without a network and can be sent as it is. A run that is not
    finished can be reported too; what is missing is counted.
    """
    from skingpt_r1.dermbench.summary import summarise, write_summary

    audits = tuple(_audits(folder, ratings))
    summary = summarise(folder, baseline=baseline, audits=audits, pictures=pictures)
    written = write_summary(summary, folder if out is None else out)
    for line in report_lines(summary.data):
        typer.echo(line)
    typer.echo(f"page:    {written.page}")
    typer.echo(f"tables:  {written.markdown}")
    typer.echo(f"results: {written.results}")
    typer.echo(RESEARCH)


def _audits(folder: Path, ratings: Path | None) -> Sequence[Audit]:
    """Checks of the judges; none where nothing is judged, as in classification."""
    from skingpt_r1.dermbench.audits import audit_run
    from skingpt_r1.dermbench.clinician_agreement import agreement_audits, measure_judges
    from skingpt_r1.dermbench.judged_scores import read_scores
    from skingpt_r1.dermbench.run_reading import JUDGEMENTS

    if ratings is None and not any((folder / JUDGEMENTS).glob("*/*.jsonl")):
        return ()
    scores = read_scores(folder)
    found = audit_run(scores)
    if ratings is not None:
        found += agreement_audits(measure_judges(folder, scores, ratings))
    return found


def report_lines(data: ReportData) -> Iterator[str]:
    """The leaderboards in a few lines each."""
    for table in data.scores:
        yield f"{table.judge}, {table.protocol}:"
        for row in table.rows:
            kind = "" if row.kind == "system" else f" ({row.kind})"
            scored = f"{count(row.scored)} of {count(row.asked)} scored"
            yield f"    {row.system}{kind}: {interval(row.overall)}, {scored}"
    for part in data.classifications:
        yield f"{part.benchmark}, {part.form}:"
        for result in part.rows:
            kind = "" if result.kind == "system" else f" ({result.kind})"
            accuracy = percent_interval(result.metrics.get("accuracy"))
            yield f"    {result.system}{kind}: accuracy {accuracy}"
    for audit in data.audits:
        if audit.flagged:
            yield f"warning: {audit.judge}, {audit.check}, {audit.subject}: {audit.verdict}"
    yield from data.notes
