"""`skingpt dermcot certify` and `publish`: raters' verdicts in, a published corpus out."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from skingpt_r1.cli.options import Settings
from skingpt_r1.cli.progress import staged
from skingpt_r1.cli.wording import RESEARCH, closing
from skingpt_r1.data.overlap import MAX_DISTANCE
from skingpt_r1.runs import own_run

if TYPE_CHECKING:
    from skingpt_r1.dermcot.certify import Certification
    from skingpt_r1.ratings.rules import CertifyRules

CorpusFolder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a corpus.")]


def add_certification(app: typer.Typer) -> None:
    """Add `certify` and `publish` to the group of commands."""
    app.command(
        epilog=closing(
            "skingpt dermcot certify runs/dermcot --export for_raters --rater a --rater b",
            "skingpt dermcot certify runs/dermcot --import for_raters/ratings.csv",
            "skingpt dermcot certify runs/dermcot --simulated",
        )
    )(certify)
    app.command(
        epilog=closing(
            "skingpt dermcot publish runs/dermcot --out my_corpus",
            "skingpt dermcot publish runs/dermcot --out my_corpus --licence folder='CC BY 4.0'",
            "skingpt dermcot publish runs/dermcot --out my_texts --without-images",
        )
    )(publish)


def certify(
    folder: CorpusFolder,
    export: Annotated[
        Path | None, typer.Option(metavar="NEW", help="Write a folder for raters.")
    ] = None,
    rater: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Pseudonym of a rater; repeatable.")
    ] = None,
    ratings: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE", help="A table that raters filled in."),
    ] = None,
    sound_rows: Annotated[
        bool, typer.Option("--sound-rows", help="Import the sound rows, count the wrong ones.")
    ] = False,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Rate by simulated raters; synthetic cases only.")
    ] = False,
    simulated_raters: Annotated[int, typer.Option(min=2, help="How many of them.")] = 4,
    seed: Annotated[int, typer.Option(help="Of assignment, order and simulation.")] = 0,
    recipe: Annotated[
        Path | None, typer.Option(help="Corpus recipe whose section `certify` gives the rules.")
    ] = None,
    settings: Settings = None,
) -> None:
    """Have the held-out narratives rated, and decide which are certified.

    Without --export, --import or --simulated it says where things stand. The keys of --set are
    those of the recipe's section `certify`; what is not set stays as at the last decision.
    """
    from skingpt_r1.dermcot import certify as library

    if sum((export is not None, ratings is not None, simulated)) > 1:
        raise typer.BadParameter("--export, --import and --simulated are done one at a time")
    with own_run(folder):
        rules = _rules(folder, recipe, settings or ())
        if export is not None:
            made = library.export_to_raters(folder, export, rater or (), rules, seed=seed)
            counts = f"{made.rows:,} rows, {made.cases:,} cases, {made.pictures:,} pictures"
            typer.echo(f"{made.folder}: {counts}; cases that need more raters: {made.short:,}")
            typer.echo(RESEARCH)
            return
        if ratings is not None:
            _import(folder, ratings, rules, sound_rows=sound_rows)
        if simulated:
            library.simulate_raters(folder, rules, raters=simulated_raters, seed=seed)
        settled = library.settle(folder, rules)
    for line in certification_lines(settled):
        typer.echo(line)
    typer.echo(f"history: {library.history_path(folder)}")
    typer.echo(RESEARCH)


def publish(
    folder: CorpusFolder,
    out: Annotated[Path, typer.Option(metavar="NEW", help="Directory of the data set.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the corpus; that of the directory by default.")
    ] = None,
    without_images: Annotated[
        bool, typer.Option("--without-images", help="Ids and texts alone.")
    ] = False,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE=TERMS", help="Terms under which your own pictures may be passed on."
        ),
    ] = None,
    max_distance: Annotated[
        int, typer.Option(min=0, max=256, help="Bits of 256 in which near-identical may differ.")
    ] = MAX_DISTANCE,
    workers: Annotated[int, typer.Option(min=1, help="Processes that read pictures.")] = 1,
) -> None:
    """Write a corpus as a Hugging Face data set directory.

    It is refused when certified and training cases share an id, a group, a file or a picture, and
    when a source does not allow that its pictures are passed on.
    """
    from skingpt_r1.dermcot import publish as library

    options = library.Options(
        name=name or out.name,
        with_images=not without_images,
        licences=dict(_source_and_terms(word) for word in licence or ()),
        max_distance=max_distance,
        workers=workers,
    )
    with own_run(folder), staged() as progress:
        done = library.publish(folder, out, options, progress)
    counts = ", ".join(f"{split} {number:,}" for split, number in done.cases.items())
    typer.echo(f"{done.folder}: {counts}{' (published before)' if done.existed else ''}")
    typer.echo(f"card:     {done.folder / library.CARD}")
    given = f"--set data.dataset=dermcot --set data.root={done.folder} --set data.narratives=given"
    typer.echo(f"distil:   skingpt distill RECIPE {given}")
    typer.echo(RESEARCH)


def certification_lines(found: "Certification") -> Iterator[str]:
    """Where a certification stands, as lines of text."""
    from skingpt_r1.ratings.rater_agreement import agreement_text

    total = sum(found.counts.values())
    kind = "simulated raters" if found.simulated else "raters"
    yield f"{total:,} held-out cases" + ("" if found.simulated is None else f", {kind}")
    for state, number in found.counts.items():
        yield f"{state:<12} {number:>7,}"
    for reason, number in sorted(found.reasons.items(), key=lambda item: (-item[1], item[0])):
        yield f"{'':<12} {number:>7,} {reason}"
    yield f"narratives that a rater rewrote: {found.corrected:,}; disputed: {found.disputed:,}"
    if found.simulated is not None:
        yield f"agreement of the {kind}:"
        yield agreement_text(found.agreement)


def _rules(folder: Path, recipe: Path | None, settings: Sequence[str]) -> "CertifyRules":
    from skingpt_r1.dermcot.certify import current_rules
    from skingpt_r1.dermcot.recipe import load_corpus_recipe
    from skingpt_r1.ratings.rules import CertifyRules
    from skingpt_r1.recipes import check_recipe, set_values

    given = current_rules(folder) if recipe is None else load_corpus_recipe(recipe).certify
    return check_recipe(CertifyRules, set_values(given.model_dump(), settings), "--set")


def _import(folder: Path, path: Path, rules: "CertifyRules", *, sound_rows: bool) -> None:
    from skingpt_r1.dermcot.certify import import_ratings

    now = datetime.now(UTC).isoformat(timespec="seconds")
    event = import_ratings(folder, path, rules, imported_at=now, sound_rows=sound_rows)
    if event is None:
        typer.echo(f"{path.name}: nothing new")
        return
    rest = f"unchanged {event.unchanged:,}, empty {event.unfilled:,}, wrong {event.refused:,}"
    typer.echo(f"{path.name}: {len(event.ratings):,} ratings imported; {rest}")


def _source_and_terms(word: str) -> tuple[str, str]:
    name, sign, terms = word.partition("=")
    if not (name and sign and terms.strip()):
        raise typer.BadParameter(f"{word!r} is not SOURCE=TERMS, for example folder='CC BY 4.0'")
    return name, terms.strip()
