"""What is written down of a system under test: its weights, and the questions it was trained on.

Whether a system was trained on what it is asked: by id, group, file, and look of the picture.

The training cases are read from a folder: an adapter inside the run that made it, such a run, a
DermCoT corpus as it was built, or one as it was published. What cannot be told is None, with the
reason.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from skingpt_r1.case import Case, Split
from skingpt_r1.data import load_cases
from skingpt_r1.data.overlap import known_overlaps
from skingpt_r1.dermbench.questions import DERMCOT, PICTURES, data_root, source_of, with_pictures
from skingpt_r1.dermbench.recipe import SYNTHETIC
from skingpt_r1.dermbench.records import file_stem
from skingpt_r1.dermbench.systems.named import CONTROL, NANO, Choice, Workbench
from skingpt_r1.dermbench.systems.own import short_name, weights_sha256
from skingpt_r1.dermcot.corpus import corpus_path, noted_root, read_corpus
from skingpt_r1.dermcot.disjoint import FINGERPRINTS, Compared, compared, find_shared
from skingpt_r1.errors import DatasetError, RecordError, SkinGPTError, TrainingError
from skingpt_r1.records import Record, read_json, sha256_file, write_json_atomic
from skingpt_r1.runs import RUN, Progress, find_root

NOT_A_MODEL = "a control, which is not trained"
NOT_TOLD = "nobody tells what it was trained on; name a folder in `training` of the recipe"
OF_NANO = "the embedded backbone was schooled on drawn scenes without skin, which were not compared"


class SystemCard(Record):
    """A system of a run.

    Attributes:
        compared: training cases that were compared with the questions; None when they were not.
    """

    system: str
    model: str  # what it is; a directory by its last part alone
    weights: str | None = None  # SHA-256 of the weights that answered; None for other systems
    compared: int | None = None
    unchecked: str = ""  # why they were not; empty when they were
    overlapping: tuple[str, ...] = ()  # ids of the questions that it was trained on
    leaks: tuple[str, ...] = ()  # what training and questions have in common, one line for each
    known: tuple[str, ...] = ()  # what is known of the data sets without a comparison


class Training(NamedTuple):
    """What a system was trained on.

    Attributes:
        cases: what is compared of each training case; None when it cannot be told.
    """

    cases: list[Compared] | None
    datasets: frozenset[str] = frozenset()  # the data sets that the cases first came from
    reason: str = ""  # why it cannot be told; empty when it can


def read_training(folder: Path) -> Training:
    """The training cases that a folder tells of: an adapter, the run that made it, or a corpus."""
    run = _run_folder(folder)
    try:
        if run is not None:
            cases = _of_run(run)
        elif corpus_path(folder).is_file():
            root = noted_root(folder)
            cases = [compared(record, root) for record in read_corpus(folder)]
        elif any((folder / "data").glob("train-*.parquet")):
            published = load_cases(DERMCOT, folder)
            cases = _compared([case for case in published if case.split is Split.TRAIN])
        else:
            return Training(None, reason="its folder does not tell what it was trained on")
    except SkinGPTError as error:
        first = str(error).splitlines()[0]
        return Training(None, reason=f"its training cases cannot be read: {first}")
    datasets = frozenset(source_of(item.case)[0] for item in cases)
    return Training([qualified(item) for item in cases], datasets)


def qualified(item: Compared) -> Compared:
    """The same case under a name that no case of another data set has."""
    dataset, group = source_of(item.case)
    alias = _SAME_PICTURES.get(dataset, dataset)
    case = replace(item.case, id=f"{alias}/{item.case.id}", dataset=alias, group=group)
    return item._replace(case=case)


# These name their pictures by the files of DermNet, so that the file series are the same.
_SAME_PICTURES = {"dermbench": "dermnet", "skincot": "dermnet"}


def _compared(cases: Sequence[Case]) -> list[Compared]:
    return [Compared(case, tuple(sha256_file(path) for path in case.images)) for case in cases]


def _run_folder(folder: Path) -> Path | None:
    """The folder of the run that made an adapter, or is one itself."""
    for place in (folder, folder.absolute().parent):
        if (place / RUN).is_file() and "backbone" in _recipe(place):
            return place
    return None


def _recipe(folder: Path) -> dict[str, Any]:
    recipe = read_json(folder / RUN).get("recipe")
    return recipe if isinstance(recipe, dict) else {}


def _of_run(run: Path) -> list[Compared]:
    """The cases of a distillation, and of those that its adapters began with."""
    from skingpt_r1.distill.data import load_parts
    from skingpt_r1.distill.recipe import make_recipe

    recipe = make_recipe(_recipe(run), f"{run.name}/{RUN}")
    # Measured findings are for the narratives; here they would cost time and change nothing.
    changes: dict[str, object] = {"measure": False}
    if recipe.data.dataset == SYNTHETIC:
        changes["root"] = _drawn(run, recipe.data.root)
    elif (root := find_root(run, Path.is_dir)) is not None:
        changes["root"] = root
    cases = _compared(load_parts(recipe.data.model_copy(update=changes), run)[Split.TRAIN])
    if recipe.start is not None and (start := _run_folder(recipe.start)) is not None:
        cases += _of_run(start)
    return list({(item.case.dataset, item.case.id): item for item in cases}.values())


def _drawn(run: Path, root: Path | None) -> Path:
    """Where the pictures that a run drew are now; a check must never draw them itself.

    Raises:
        DatasetError: they are gone.
    """
    # A comparison keeps them beside its runs, and its folder may have been moved as a whole.
    places = [run / PICTURES, run.absolute().parent / PICTURES, *([root] if root else [])]
    for place in places:
        if (place / "metadata.jsonl").is_file():
            return place
    raise DatasetError("the pictures that the run drew are not there any more")


def card_path(folder: Path, system: str) -> Path:
    """The file of a system's card."""
    return folder / "systems" / f"{file_stem(system)}.json"


def read_card(folder: Path, system: str) -> SystemCard:
    """The card of a system that was asked.

    Raises:
        RecordError: there is none, or it breaks its schema.
    """
    path = card_path(folder, system)
    try:
        return SystemCard.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise RecordError(
            f"{path} is not the card of a system; delete it and run the same command again"
        ) from error


def check_systems(
    choices: Sequence[Choice],
    opened: Collection[Choice],
    bench: Workbench,
    *,
    allow_overlap: bool,
    progress: Progress | None = None,
) -> dict[str, SystemCard]:
    """The cards of all systems, made before any of them is asked.

    The weights of systems that are not `opened` (there is nothing left to ask) are not read. With
    `allow_overlap` questions that a system was trained on are marked instead of refused.

    Raises:
        DatasetError: a system was trained on questions.
        TrainingError: the weights are not those that gave the answers which are there.
    """
    cards = {}
    for choice in choices:
        path = card_path(bench.folder, choice.name)
        before = read_card(bench.folder, choice.name) if path.exists() else None
        card = before
        if card is None or choice in opened:
            card = _card(choice, bench, before, progress)
        if card.overlapping and not allow_overlap:
            raise DatasetError(
                f"system {card.system!r} was trained on {len(card.overlapping)} of the questions, "
                "so its scores would be too good; leave it or these cases out, or mark them and "
                "go on with --allow-overlap",
                [*card.leaks, *(f"known: {line}" for line in card.known)],
            )
        if card != before:
            write_json_atomic(path, card)
        cards[choice.name] = card
    return cards


def _card(
    choice: Choice, bench: Workbench, before: SystemCard | None, progress: Progress | None
) -> SystemCard:
    where = choice.directory
    weights = None if where is None else weights_sha256(where)
    model = choice.model
    if where is not None and where != NANO:
        model = model.replace(where, short_name(where))
    if before is None:
        card = SystemCard(system=choice.name, model=model, weights=weights)
        return compare_training(card, _training(choice, bench), bench, progress)
    if (before.model, before.weights) != (model, weights):
        raise TrainingError(
            f"system {choice.name!r} has other weights than those that gave its answers in "
            f"{bench.folder}; name it otherwise (NAME=...), or choose a new folder"
        )
    return before


def compare_training(
    card: SystemCard, training: Training, bench: Workbench, progress: Progress | None = None
) -> SystemCard:
    """The card with everything that the system was trained on and is asked about.

    Raises:
        DatasetError: pictures of the training or of the benchmark cannot be read.
    """
    asked = _compared_questions(bench)
    sources = {source_of(item.case)[0] for item in asked}
    known = tuple(
        f"{item.what}: {item.advice}"
        for item in known_overlaps(training.datasets | sources)
        if item.datasets & training.datasets and item.datasets & sources
    )
    if training.cases is None:
        return card.model_copy(update={"unchecked": training.reason, "known": known})
    cases = [qualified(item) for item in asked]
    leaks = find_shared(
        training.cases,
        cases,
        store=bench.folder / FINGERPRINTS,
        max_distance=bench.recipe.leaks.picture_distance,
        progress=None if progress is None else partial(progress, f"leaks: {card.system}"),
    )
    concerned = {leak.certified for leak in leaks}
    found = {
        "compared": len(training.cases),
        "overlapping": tuple(
            question.id
            for item, question in zip(cases, bench.questions, strict=True)
            if item.case.id in concerned
        ),
        "leaks": tuple(leak.told("question") for leak in leaks),
        "known": known,
    }
    return card.model_copy(update=found)


def _compared_questions(bench: Workbench) -> list[Compared]:
    compared = []
    for question, pictures in with_pictures(bench.questions, data_root(bench.folder)):
        dataset = bench.recipe.data.dataset
        # The group of a corpus's case begins with the data set that it first came from.
        source, sign, _ = question.group.partition("/")
        attributes = {"source": source} if dataset == DERMCOT and sign else {}
        case = Case(
            id=question.id,
            images=pictures,
            dataset=dataset,
            group=question.group,
            attributes=attributes,
        )
        compared.append(Compared(case, question.sha256))
    return compared


def _training(choice: Choice, bench: Workbench) -> Training:
    told = bench.recipe.training.get(choice.name)
    where = choice.directory
    if told is not None:
        return read_training(told)
    if where == NANO:
        return Training(None, reason=OF_NANO)
    if where is not None:
        return read_training(Path(where))
    control = choice.model.startswith(CONTROL) and ":" not in choice.model
    return Training(None, reason=NOT_A_MODEL if control else NOT_TOLD)
