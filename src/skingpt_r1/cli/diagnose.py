"""`skingpt diagnose`: pictures in, an explicit chain of reasoning out.

`skingpt models`: what a directory is, and whether it loads.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from skingpt_r1.cli import RESEARCH
from skingpt_r1.cli.options import Device, Dtype, model_recipe, tracked
from skingpt_r1.cli.verify import claim_line, claim_record
from skingpt_r1.data.intake import find_images, open_image
from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.narrative import Narrative
from skingpt_r1.text.wording import check_context

ASSESSED = "assessed"
NANO = "nano"

if TYPE_CHECKING:
    from skingpt_r1.evidence.verify import CheckedClaim
    from skingpt_r1.model.load import ModelReport
    from skingpt_r1.model.skingpt import SkinGPT


Model = Annotated[
    str, typer.Option(help="`nano`, or a directory: an adapter, a backbone, a released checkpoint.")
]


def diagnose(
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Pictures, or folders of pictures.")
    ],
    model: Model = NANO,
    stream: Annotated[bool, typer.Option("--stream", help="Print the text as it grows.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per case, one a line.")
    ] = False,
    candidates: Annotated[
        str, typer.Option(metavar="A,B,C", help="Diagnoses to choose from.")
    ] = "",
    context: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A fact, site=arm or age=45.")
    ] = None,
    one_case: Annotated[
        bool, typer.Option("--one-case", help="All pictures show the same thing.")
    ] = False,
    assess: Annotated[
        bool,
        typer.Option(
            "--assess/--no-assess",
            help="First ask whether a picture can be assessed, and check the claims.",
        ),
    ] = True,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Diagnose pictures, with the reasoning.

    Each picture is a case of its own: observation, reasoning, differential, diagnosis. What cannot
    be assessed gets no diagnosis but the reason; where the embedded verifier knows the backbone and
    the kind of picture, each claim of the text is held against it.
    """
    if stream and (as_json or candidates):
        raise typer.BadParameter("--stream goes neither with --json nor with --candidates")
    facts = parse_context(context or [])
    models = model_recipe(device, dtype)
    names = tuple(name.strip() for name in candidates.split(",") if name.strip())
    cases = group_pictures(find_images(images), one_case=one_case)

    from skingpt_r1.model.load import load_model

    loaded = load_model(model, **models.model_dump())
    gate = Gate(loaded, model) if assess else None
    if stream:
        for pictures in cases:
            _stream(loaded, pictures, facts, gate)
    else:
        _answer(loaded, cases, facts, names, gate, as_json=as_json)


class Gate:
    """What stands before and behind a model: may it speak, and is what it says seen?

    The plain `nano` knows no skin at all, so that pictures from outside the verifier's world are
    refused with it; an adapter may have been taught on them.
    """

    def __init__(self, model: "SkinGPT", name: str) -> None:
        from skingpt_r1.evidence.verify import verifier_of

        self.verifier = verifier_of(model)
        self.is_plain = name == NANO

    def assess(self, pictures: Sequence[Path]) -> str:
        """`assessed`, or `cannot assess: ` and the reason."""
        from skingpt_r1.evidence.verify import assess

        opened = [open_image(path) for path in pictures]
        return assess(opened, self.verifier if self.is_plain else None)

    def check(self, pictures: Sequence[Path], narrative: Narrative) -> "list[CheckedClaim] | None":
        """The claims held against the pictures; None where no verifier can."""
        opened = [open_image(path) for path in pictures]
        if self.verifier is None or any(map(self.verifier.problem_of, opened)):
            return None
        from skingpt_r1.evidence.verify import check_claims

        return check_claims(opened, narrative.claims, [self.verifier])


def parse_context(pairs: Sequence[str]) -> dict[str, str]:
    """`site=arm` and so on as a mapping."""
    facts: dict[str, str] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.strip() or not value.strip():
            raise typer.BadParameter(f"--context {pair!r} is not KEY=VALUE, for example site=arm")
        facts[key.strip()] = value.strip()
    problems = check_context(facts)
    if problems:
        raise typer.BadParameter(f"--context: {'; '.join(problems)}")
    return facts


def group_pictures(pictures: Sequence[Path], *, one_case: bool) -> list[list[Path]]:
    """Pictures by case; each is opened once, so that a bad one stops before the model loads."""
    for picture in tracked(pictures, "checking pictures"):
        open_image(picture)
    return [list(pictures)] if one_case else [[picture] for picture in pictures]


def _stream(
    model: "SkinGPT", pictures: Sequence[Path], facts: Mapping[str, str], gate: Gate | None
) -> None:
    typer.echo(_title(pictures))
    if gate is not None and (assessment := gate.assess(pictures)) != ASSESSED:
        typer.echo(f"  {assessment}\n{RESEARCH}\n")
        return
    for piece in model.stream(pictures, facts):
        if isinstance(piece, Narrative):
            typer.echo(f"\n\nDiagnosis: {piece.diagnosis}\n{RESEARCH}\n")
        else:
            typer.echo(piece, nl=False)


def _answer(
    model: "SkinGPT",
    cases: Sequence[Sequence[Path]],
    facts: Mapping[str, str],
    names: Sequence[str],
    gate: Gate | None,
    *,
    as_json: bool,
) -> None:
    unread = 0
    for pictures in tracked(cases, "diagnosing"):
        record: dict[str, Any] = {"images": [str(path) for path in pictures], "note": RESEARCH}
        if gate is not None:
            record["assessment"] = gate.assess(pictures)
        lines = [_title(pictures)]
        if record.get("assessment", ASSESSED) == ASSESSED:
            try:
                said = model.diagnose(pictures, facts, candidates=names or None)
                checked = None if gate is None else gate.check(pictures, said)
                record |= _said(said, checked)
                lines += _text(said, checked)
            except NarrativeError as error:
                unread += 1
                record["error"] = {"reason": error.reason, "message": str(error)}
                lines.append(f"  no readable narrative ({error.reason}): {error}")
        else:
            lines.append(f"  {record['assessment']}")
        typer.echo(json.dumps(record) if as_json else "\n".join([*lines, "", RESEARCH, ""]))
    if unread:
        typer.echo(
            f"error: {unread} of {len(cases)} answers were not readable narratives", err=True
        )
        raise typer.Exit(1)


def _said(answer: Narrative, checked: "list[CheckedClaim] | None") -> dict[str, Any]:
    record: dict[str, Any] = {
        "observation": answer.observation,
        "reasoning": answer.reasoning,
        "differential": list(answer.differential),
        "diagnosis": answer.diagnosis,
        "text": answer.text,
    }
    if checked is not None:
        record["claims"] = [claim_record(found, answer.text) for found in checked]
    return record


def _text(answer: Narrative, checked: "list[CheckedClaim] | None") -> list[str]:
    lines = [
        f"  Observation:  {answer.observation}",
        f"  Reasoning:    {answer.reasoning}",
        f"  Differential: {'; '.join(answer.differential) or 'none'}",
        f"  Diagnosis:    {answer.diagnosis}",
    ]
    if checked is not None:
        lines.append("  Claims (+ supported, x contradicted, ? not checkable):")
        lines += [f"    {claim_line(found, answer.text)}" for found in checked]
    return lines


def _title(pictures: Sequence[Path]) -> str:
    return ", ".join(str(picture) for picture in pictures)


def models(
    directories: Annotated[
        list[str], typer.Argument(metavar="DIR", help="Directories, or `nano`.")
    ],
) -> None:
    """Say what a directory is, and if it loads.

    The exit code is 1 when one of them does not load.
    """
    from skingpt_r1.model.load import describe_directory

    reports = [describe_directory(name) for name in tracked(directories, "loading")]
    typer.echo("\n\n".join(_described(report) for report in reports))
    broken = [report.path for report in reports if not report.loads]
    if broken:
        typer.echo(f"error: does not load: {', '.join(broken)}", err=True)
        raise typer.Exit(1)


def _described(report: "ModelReport") -> str:
    verdict = "loads" if report.loads else "does not load"
    return "\n".join(
        [f"{report.path}: {report.kind}, {verdict}", *(f"  {line}" for line in report.details)]
    )
