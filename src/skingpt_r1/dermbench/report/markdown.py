"""The report as Markdown: the same tables, without pictures and cases."""

from collections.abc import Iterable, Iterator, Sequence

from skingpt_r1.dermbench.report.glance import glances
from skingpt_r1.dermbench.report.page import measure_names, metric_names, rank
from skingpt_r1.dermbench.report.wording import (
    MISSING,
    count,
    ends,
    interval,
    of_run,
    p_value,
    percent_interval,
    signed,
)
from skingpt_r1.dermbench.report_data import (
    LABEL_OUTCOMES,
    Classification,
    Kind,
    ReportData,
    ScoreTable,
    ToneTable,
)
from skingpt_r1.dermcot.corpus_card import RESEARCH
from skingpt_r1.rubric import DIMENSIONS


def markdown(data: ReportData) -> str:
    """The whole report.

    Args:
        data: what it shows.
    """
    lines = [f"# {_plain(data.title)}", "", f"**{RESEARCH}**", ""]
    lines += [f"- {_plain(note)}" for note in data.notes]
    lines += [f"- {_plain(name)}: {_plain(value)}" for name, value in data.facts.items()]
    lines += [f"- cases: {count(data.num_cases)}"]
    lines += ["", *_table(["system", "what it is"], data.systems.items())]
    lines += _glance(data)
    for table in data.scores:
        lines += _scores(table)
    if data.labels:
        lines += ["", "## Diagnosis against label", ""]
        rows = [
            [
                of_run(row.system, row.run),
                count(row.n),
                *(count(row.outcomes.get(o, 0)) for o in LABEL_OUTCOMES),
            ]
            for row in data.labels
        ]
        lines += _table(["system", "n", *LABEL_OUTCOMES], rows)
    for part in data.classifications:
        lines += _classification(part)
    lines += [*_audits(data), *_leaks(data)]
    return "\n".join([*lines, "", RESEARCH, ""])


def _glance(data: ReportData) -> Iterator[str]:
    for place, shown in enumerate(glances(data)):
        yield from ("", "" if place else "## At a glance", "")
        rows = [
            [_titled(row.system, row.kind), *(cell or MISSING for cell in row.cells)]
            for row in shown.rows
        ]
        yield from _table(["system", *shown.columns], rows)


def _scores(table: ScoreTable) -> Iterator[str]:
    name = of_run(f"{table.judge}, {table.protocol}", table.run)
    yield from ("", f"## Scores: {_plain(name)}", "")
    rows = [
        [
            MISSING if row.rank is None else rank(row.rank),
            _titled(row.system, row.kind),
            interval(row.overall),
            f"{count(row.scored)} / {count(row.asked)}",
            ", ".join(f"{reason} {count(n)}" for reason, n in sorted(row.unscored.items())),
        ]
        for row in table.rows
    ]
    head = ["rank", "system", "mean (95 % interval)", "scored / asked", "unscored"]
    yield from _table(head, rows)
    yield ""
    by_dimension = [
        [row.system, *(interval(row.dimensions.get(name)) for name in DIMENSIONS)]
        for row in table.rows
    ]
    yield from _table(["system", *DIMENSIONS], by_dimension)
    if table.pairs:
        yield ""
        head = ["first", "second", "first less second", "p (Holm)", "n", "better"]
        yield from _table(
            head,
            [
                [
                    pair.first,
                    pair.second,
                    f"{signed(pair.difference.value)} ({ends(pair.difference, write=signed)})",
                    p_value(pair.p_holm),
                    count(pair.difference.n),
                    pair.words,
                ]
                for pair in table.pairs
            ],
        )
    yield from _tones(table.tones, is_share=False)


def _classification(part: Classification) -> Iterator[str]:
    name = of_run(f"{part.benchmark}, {part.form}", part.run)
    yield from ("", f"## Classification: {_plain(name)}", "")
    metrics = metric_names(part)
    rows = [
        [
            row.system,
            *(percent_interval(row.metrics.get(metric)) for metric in metrics),
            f"{count(row.unread)} / {count(row.asked)}",
            percent_interval(row.gain and row.gain.difference),
            p_value(row.gain and row.gain.p_holm),
        ]
        for row in part.rows
    ]
    gain = f"accuracy less that of {part.baseline}" if part.baseline else "gain"
    yield from _table(["system", *metrics, "no label / asked", gain, "p (Holm)"], rows)
    if part.calibrations:
        yield ""
        names = measure_names(part.calibrations)
        calibrated = [
            [row.system, *(interval(row.measures.get(name), 3) for name in names)]
            for row in part.calibrations
        ]
        yield from _table(["system", *names], calibrated)
    yield from _tones(part.tones, is_share=True)


def _tones(tones: Sequence[ToneTable], *, is_share: bool) -> Iterator[str]:
    shown = percent_interval if is_share else interval
    if tones:
        yield ""
        rows = [
            [
                table.system,
                f"{table.metric} by {table.scale}",
                group.name,
                count(group.n),
                shown(group.measure),
            ]
            for table in tones
            for group in table.gaps.rows
        ]
        yield from _table(["system", "measure", "group", "n", "value"], rows)


def _audits(data: ReportData) -> Iterator[str]:
    if data.audits:
        yield from ("", "## Judge audits", "")
        rows = [
            [
                of_run(audit.judge, audit.run),
                audit.check,
                audit.subject,
                interval(audit.measure, 3),
                f"warning: {audit.verdict}" if audit.flagged else audit.verdict,
            ]
            for audit in data.audits
        ]
        yield from _table(["judge", "check", "of", "value", "meaning"], rows)


def _leaks(data: ReportData) -> Iterator[str]:
    if data.leaks:
        yield from ("", "## Overlap with training data", "")
        rows = [
            [
                leak.system,
                of_run(leak.benchmark, leak.run),
                f"{count(leak.cases)} / {count(leak.asked)}",
                leak.found_by,
                leak.treatment,
            ]
            for leak in data.leaks
        ]
        yield from _table(["system", "benchmark", "cases / asked", "found by", "treatment"], rows)


def _titled(system: str, kind: Kind) -> str:
    return system if kind == "system" else f"{system} ({kind})"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(_plain(name) for name in head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(_plain(value) for value in row) + " |"


def _plain(text: str) -> str:
    """A text that can neither end a cell nor begin markup."""
    line = " ".join(text.split())
    for sign in "\\`*_[]<>|#":
        line = line.replace(sign, f"\\{sign}")
    return line
