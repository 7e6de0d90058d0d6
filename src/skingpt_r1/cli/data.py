"""`skingpt datasets`: what can be read, whether a folder is sound, what two sets share."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from skingpt_r1 import data as datasets
from skingpt_r1.case import Case
from skingpt_r1.cli import RESEARCH, closing, finish
from skingpt_r1.cli.options import MaxDistance, split_pair, tracked
from skingpt_r1.data.overlap import MAX_DISTANCE, Overlap, find_overlap, known_overlaps
from skingpt_r1.errors import DatasetError
from skingpt_r1.runs import own_run

SHOWN = 20

datasets_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help=f"Public data sets and folders of pictures. {RESEARCH}",
    epilog=closing("skingpt datasets check ham10000 DATA/ham10000"),
)

AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Continue without cases whose files are missing.")
]


@datasets_app.command(
    "list", epilog=closing("skingpt datasets list", "skingpt datasets list ham10000")
)
def list_datasets(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Full cards.")] = None,
) -> None:
    """Print names and licences, or full cards."""
    if names:
        typer.echo("\n\n".join(datasets.describe(name) for name in names))
        return
    readers, broken = datasets.find_readers()
    for reader in readers.values():
        typer.echo(f"{reader.name:<16} {reader.title}: {reader.licence}")
    for problem in broken.values():
        typer.echo(problem, err=True)


@datasets_app.command(epilog=closing("skingpt datasets check ham10000 DATA/ham10000"))
def check(
    name: Annotated[str, typer.Argument(help="A name of `skingpt datasets list`.")],
    root: Annotated[Path, typer.Argument(help="The folder of the data set.")],
    allow_missing: AllowMissing = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not open the pictures.")] = False,
) -> None:
    """Print licence and counts, or all problems.

    Every problem is told at once, with its row, before any work starts. Every picture is opened,
    which takes a minute or two for ten thousand of ordinary size.
    """
    reading = datasets.check_dataset(name, root)
    typer.echo(datasets.describe(name))
    if quick:
        typer.echo("The pictures were not opened; without --quick they are.")
    else:
        reading.open_pictures(partial(tracked, label="opening pictures"))
    cases = reading.settle(allow_missing=allow_missing)
    typer.echo(datasets.describe_cases(cases))
    for reason, count in reading.counts().items():
        typer.echo(f"  {reason}: {count:,}")


@datasets_app.command(
    epilog=closing(
        "skingpt datasets overlap ham10000=DATA/ham10000",
        "skingpt datasets overlap folder=train folder=test --json > pairs.jsonl",
    )
)
def overlap(
    sets: Annotated[
        list[str], typer.Argument(metavar="NAME=ROOT", help="Data sets and their folders.")
    ],
    max_distance: MaxDistance = MAX_DISTANCE,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every pair as one JSON object a line.")
    ] = False,
    allow_missing: AllowMissing = False,
) -> None:
    """Find pictures that are there twice.

    Looks within each set and between any two, for identical files, identical pixels and
    near-identical pictures of different cases.
    """
    form = "NAME=ROOT, for example ham10000=data/ham10000"
    named = [split_pair(word, form) for word in sets]
    cases = [
        replace(case, dataset=word)
        for word, (name, root) in zip(sets, named, strict=True)
        for case in datasets.load_cases(name, root, allow_missing=allow_missing)
    ]
    track = partial(tracked, label="reading pictures")
    found = find_overlap(cases, max_distance=max_distance, track=track)
    for pair in found if as_json else ():
        typer.echo(json.dumps(_record(pair)))
    if not as_json:
        typer.echo(_summary(cases, found))
        for known in known_overlaps(name for name, _ in named):
            typer.echo(f"known: {known.what}; {known.advice} ({known.source})")


@datasets_app.command(
    epilog=closing("skingpt datasets synthetic ham10000 runs/rendered/ham10000 --count 200")
)
def synthetic(
    name: Annotated[str, typer.Argument(help="ham10000, pad_ufes_20 or fitzpatrick17k.")],
    folder: Annotated[Path, typer.Argument(help="Gets the pictures and the table.")],
    count: Annotated[int, typer.Option(min=1, help="Pictures.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Of the pictures.")] = 0,
    size: Annotated[int, typer.Option(min=32, help="Side of a picture in pixels.")] = 112,
) -> None:
    """Write rendered pictures in the layout of a public data set.

    Its own reader reads them. Conditions for which the set has no label are left out; README.txt
    in the folder says that nothing in it is real.
    """
    from skingpt_r1.render.layouts import LAYOUTS

    if name not in LAYOUTS:
        raise DatasetError(f"no layout is called {name!r}; known: {', '.join(LAYOUTS)}")
    with own_run(folder):
        cases = LAYOUTS[name](folder, count, seed, size)
    typer.echo(f"rendered pictures in the layout of {name}: {folder}")
    finish(datasets.describe_cases(cases))


def _summary(cases: Sequence[Case], found: Sequence[Overlap]) -> str:
    counts = Counter(str(pair.kind) for pair in found)
    apart = sum(not pair.same_group for pair in found)
    lines = [f"{len(found)} pairs among {len(cases)} cases; {apart} are not of one group"]
    lines += [f"  {kind}: {count}" for kind, count in counts.items()]
    lines += [
        f"  {pair.kind} (distance {pair.distance}): {pair.image_a} and {pair.image_b}"
        for pair in found[:SHOWN]
    ]
    if len(found) > SHOWN:
        lines.append(f"  and {len(found) - SHOWN} more; --json prints all")
    return "\n".join(lines)


def _record(pair: Overlap) -> dict[str, str | int | bool]:
    return {
        "kind": str(pair.kind),
        "distance": pair.distance,
        "image_a": str(pair.image_a),
        "image_b": str(pair.image_b),
        "set_a": pair.case_a.dataset,
        "set_b": pair.case_b.dataset,
        "case_a": pair.case_a.id,
        "case_b": pair.case_b.id,
        "same_group": pair.same_group,
    }
