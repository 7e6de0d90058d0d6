"""The report as Markdown: the same tables, without pictures and cases."""

from collections.abc import Iterator, Sequence

from skingpt_r1.dermbench.report.data import (
    LABEL_OUTCOMES,
    Classification,
    Kind,
    ReportData,
    ScoreTable,
    ToneTable,
)
from skingpt_r1.dermbench.report.page import measure_names, metric_names, rank
from skingpt_r1.dermbench.report.wording import (
    MISSING,
    count,
    ends,
    glances,
    interval,
    of_run,
    p_value,
    percent_interval,
    signed,
)
from skingpt_r1.dermcot.card import RESEARCH
from skingpt_r1.text.rubric import DIMENSIONS
from skingpt_r1.text.tokens import escaped, table


def markdown(data: ReportData) -> str:
    """The whole report.

    Args:
        data: what it shows.
    """
    lines = [f"# {escaped(data.title)}", "", f"**{RESEARCH}**", ""]
    lines += [f"- {escaped(note)}" for note in data.notes]
    lines += [f"- {escaped(name)}: {escaped(value)}" for name, value in data.facts.items()]
    lines += [f"- cases: {count(data.num_cases)}"]
    lines += ["", *table(["system", "what it is"], data.systems.items())]
    lines += _glance(data)
    for scores in data.scores:
        lines += _scores(scores)
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
        lines += table(["system", "n", *LABEL_OUTCOMES], rows)
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
        yield from table(["system", *shown.columns], rows)


def _scores(scores: ScoreTable) -> Iterator[str]:
    name = of_run(f"{scores.judge}, {scores.protocol}", scores.run)
    yield from ("", f"## Scores: {escaped(name)}", "")
    rows = [
        [
            MISSING if row.rank is None else rank(row.rank),
            _titled(row.system, row.kind),
            interval(row.overall),
            f"{count(row.scored)} / {count(row.asked)}",
            ", ".join(f"{reason} {count(n)}" for reason, n in sorted(row.unscored.items())),
        ]
        for row in scores.rows
    ]
    head = ["rank", "system", "mean (95 % interval)", "scored / asked", "unscored"]
    yield from table(head, rows)
    yield ""
    by_dimension = [
        [row.system, *(interval(row.dimensions.get(name)) for name in DIMENSIONS)]
        for row in scores.rows
    ]
    yield from table(["system", *DIMENSIONS], by_dimension)
    if scores.pairs:
        yield ""
        head = ["first", "second", "first less second", "p (Holm)", "n", "better"]
        yield from table(
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
                for pair in scores.pairs
            ],
        )
    yield from _tones(scores.tones, is_share=False)


def _classification(part: Classification) -> Iterator[str]:
    name = of_run(f"{part.benchmark}, {part.form}", part.run)
    yield from ("", f"## Classification: {escaped(name)}", "")
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
    yield from table(["system", *metrics, "no label / asked", gain, "p (Holm)"], rows)
    if part.calibrations:
        yield ""
        names = measure_names(part.calibrations)
        calibrated = [
            [row.system, *(interval(row.measures.get(name), 3) for name in names)]
            for row in part.calibrations
        ]
        yield from table(["system", *names], calibrated)
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
        yield from table(["system", "measure", "group", "n", "value"], rows)


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
        yield from table(["judge", "check", "of", "value", "meaning"], rows)


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
        yield from table(["system", "benchmark", "cases / asked", "found by", "treatment"], rows)


def _titled(system: str, kind: Kind) -> str:
    return system if kind == "system" else f"{system} ({kind})"
