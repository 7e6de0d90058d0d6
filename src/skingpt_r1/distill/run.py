"""One call that carries out a recipe: data, narratives, teacher, features, training, adapter.

    folder/
      run.json         the resolved recipe, seed, versions, commit, data manifest
      pictures/        drawn cases, with `data.dataset: synthetic`
      features/        the feature store, unless it is somewhere else
      checkpoints/     the last two, adapters only
      metrics.jsonl    one line for each stretch of training
      visual_first/    the same of the stage before, where the recipe has one
      adapter/         the result, in the Hugging Face layout

The same call continues what was interrupted. The teacher's vectors of the training cases are made
once and kept beside the feature store.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import PartialState
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from skingpt_r1.case import Case, Split
from skingpt_r1.distill.data import Parts, load_parts, manifest_hash, narratives_of
from skingpt_r1.distill.features import FeaturePass, StoredCase, store_key
from skingpt_r1.distill.recipe import Recipe, TeacherRecipe, TrainRecipe
from skingpt_r1.distill.store import FeatureStore, write_store
from skingpt_r1.distill.trainer import (
    describe_trained,
    finish_stage,
    make_trained,
    own_shared,
    train,
)
from skingpt_r1.errors import CheckpointError, TeacherError
from skingpt_r1.model.backbone import load_backbone
from skingpt_r1.model.checkpoint import is_adapter
from skingpt_r1.model.config import AUTO, training_state
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.model.teachers import read_teacher, run_encoder, run_plugin, train_teacher
from skingpt_r1.model.weight_files import not_finite
from skingpt_r1.records import start_run, write_bytes_atomic
from skingpt_r1.runs import Count, Progress, note_root, same_root

logger = logging.getLogger(__name__)


def teacher_vectors(
    recipe: TeacherRecipe,
    cases: Sequence[Case],
    folder: Path,
    *,
    seed: int,
    manifest: str,
    device: str | torch.device = "cpu",
) -> dict[str, Tensor] | None:
    """[images, T] for each case id; None without a teacher.

    Args:
        recipe: which teacher.
        cases: the training cases; nothing else may teach.
        folder: where computed vectors are kept, to be found again by a later call.
        seed: of the built-in teacher.
        manifest: hash of the cases.
        device: where a Hugging Face encoder runs.

    Raises:
        TeacherError: vectors that are missing or cannot be used; the cases are listed.
    """
    if recipe.kind == "none":
        return None
    if recipe.kind == "precomputed":
        assert recipe.path is not None
        return read_teacher(recipe.path, cases)
    made_from = [recipe.model_dump(mode="json"), seed, manifest]
    stamp = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:12]
    path = folder / f"teacher-{stamp}.safetensors"
    if (kept := _read(path, cases)) is not None:
        return kept
    vectors = _make(recipe, cases, seed, device)
    write_bytes_atomic(path, save(vectors))
    return vectors


def _make(
    recipe: TeacherRecipe, cases: Sequence[Case], seed: int, device: str | torch.device
) -> dict[str, Tensor]:
    if recipe.kind == "built-in":
        teacher = train_teacher(cases, width=recipe.width, epochs=recipe.epochs, seed=seed)
        return teacher.embed(cases)
    if recipe.kind != "encoder":
        return run_plugin(recipe.kind, cases)
    assert recipe.path is not None
    return run_encoder(recipe.path, cases, device=device)


def _read(path: Path, cases: Sequence[Case]) -> dict[str, Tensor] | None:
    if not path.is_file():
        return None
    try:
        vectors: dict[str, Tensor] = load_file(path)
    except SafetensorError:
        logger.warning("%s is torn; the vectors are made again", path.name)
        return None
    if wrong := not_finite(vectors.items()):
        logger.warning("%s is not finite for %d cases; it is made again", path.name, len(wrong))
        return None
    return vectors if vectors.keys() == {case.id for case in cases} else None


class FinishedRun(NamedTuple):
    """What a run leaves in memory: the model evaluates with the trained adapters."""

    model: SkinGPT
    parts: Parts
    folder: Path


def run_recipe(
    recipe: Recipe,
    folder: Path,
    *,
    features: Path | None = None,
    parts: Parts | None = None,
    progress: Progress | None = None,
    quiet: bool = True,
) -> FinishedRun:
    """Carry out a recipe, or continue where an earlier call was stopped.

    Under `torchrun` the feature pass and the training are shared by the processes.

    Args:
        recipe: what to do.
        folder: where everything goes.
        features: folder of the feature store, to share it between recipes that read the same
            features; `folder/features` when None.
        parts: what `load_parts(recipe.data, ...)` gave, so that the data are not read again.
        progress: callback(stage, done, total).
        quiet: no progress bar in training.

    Raises:
        SkinGPTError: bad data, a changed recipe, a store of another run, a loss that is not finite.
    """
    state = training_state(recipe.models.device)
    with own_shared(folder, state):
        stored = _store(recipe, folder, features or folder / "features", parts, state, progress)
        _teach(recipe, folder, stored, state, quiet)
    return FinishedRun(stored.model, stored.parts, folder)


def _teach(
    recipe: Recipe, folder: Path, stored: "_Stored", state: PartialState, quiet: bool
) -> None:
    """What the recipe trains: the visual part alone first, where it says so; then everything."""
    model = stored.model
    labels = [item.case.label or "" for item in stored.items] if recipe.data.balance else None

    def teach(place: Path, part: TrainRecipe, visual_only: bool) -> None:
        trained = make_trained(model, part.precision, visual_only=visual_only)
        if state.is_main_process:
            logger.info("what is trained:\n%s", describe_trained(trained.state))
        train(
            trained,
            stored.features,
            part,
            weights=recipe.losses,
            folder=place,
            seed=recipe.seed,
            labels=labels,
            pad_id=model.needed_processor.pad_id,
            quiet=quiet,
        )

    if (part := recipe.visual_first) is not None:
        place = folder / "visual_first"
        finish_stage(place, model, state, partial(teach, place, part, visual_only=True))
    finish_stage(folder, model, state, partial(teach, folder, recipe.train, visual_only=False))


def run_features(
    recipe: Recipe, folder: Path, *, features: Path | None = None, progress: Progress | None = None
) -> FeatureStore:
    """Carry out the feature pass of a recipe alone; `run_recipe` on the same folder goes on.

    Arguments and errors are those of `run_recipe`.
    """
    state = training_state(recipe.models.device)
    with own_shared(folder, state):
        stored = _store(recipe, folder, features or folder / "features", None, state, progress)
    return stored.features


class _Stored(NamedTuple):
    """What there is when the feature pass is over; the items are the training cases."""

    model: SkinGPT
    parts: Parts
    items: list[StoredCase]
    features: FeatureStore


def _store(
    recipe: Recipe,
    folder: Path,
    features: Path,
    parts: Parts | None,
    state: PartialState,
    progress: Progress | None,
) -> _Stored:
    if recipe.start is not None and not is_adapter(recipe.start):
        # Said before any work, because the adapter is needed only after much of it.
        raise CheckpointError(
            f"start: there is no adapter in {recipe.start}; train that one first, or give "
            "`--set start=null` to begin from nothing"
        )
    with state.main_process_first():
        if parts is None:
            parts = load_parts(recipe.data, folder / "pictures", _count(progress, "measuring"))
        items, manifest = _prepare(recipe, parts, folder, features.parent, state.device)
    model = build_model(recipe, items, state.device)
    compute = FeaturePass(
        model, items, dtype=recipe.features.dtype, batch_size=recipe.features.batch_size
    )
    key = store_key(
        model,
        fields=compute.fields,
        dtype=recipe.features.dtype,
        manifest=manifest,
        teacher=recipe.teacher.model_dump(mode="json") | {"seed": recipe.seed},
    )
    with own_shared(features, state):
        write_store(
            features,
            key,
            [item.id for item in items],
            compute,
            shard_cases=recipe.features.shard_cases,
            progress=_count(progress, "features"),
            part=(state.process_index, state.num_processes),
        )
        state.wait_for_everyone()
    return _Stored(model, parts, items, FeatureStore(features))


def build_model(
    recipe: Recipe, items: Sequence[StoredCase], device: torch.device | str = AUTO
) -> SkinGPT:
    """Untrained adapters on the recipe's backbone; their first values depend on the seed only.

    Args:
        recipe: names the backbone and the adapters.
        items: the training cases; their teacher's vectors tell the width of the projection.
        device: where the model goes.

    Raises:
        CheckpointError: the backbone does not load.
        TeacherError: the vectors are not as wide as `adapter.teacher_dim` says.
    """
    backbone = load_backbone(recipe.backbone, device=device, dtype=recipe.models.dtype)
    config = recipe.adapter
    vectors = items[0].teacher
    if vectors is not None:
        wanted = recipe.adapter.teacher_dim
        if wanted not in (None, vectors.shape[1]):
            raise TeacherError(
                f"adapter.teacher_dim is {wanted} and the teacher's vectors have "
                f"{vectors.shape[1]} values; leave teacher_dim out, or name another teacher"
            )
        config = config.model_copy(update={"teacher_dim": vectors.shape[1]})
    torch.manual_seed(recipe.seed)
    model = SkinGPT(backbone, config)
    model.needed_processor  # noqa: B018 - refuses a backbone without a tokenizer
    if recipe.start is not None:
        model.copy_adapter(recipe.start)
    return model


def _prepare(
    recipe: Recipe, parts: Parts, folder: Path, kept: Path, device: torch.device
) -> tuple[list[StoredCase], str]:
    """The training cases with what they teach, and the hash of all of it."""
    cases = parts[Split.TRAIN]
    texts = narratives_of(cases, source=recipe.data.narratives, seed=recipe.seed)
    manifest = manifest_hash(cases, texts)
    counts = {part.value: len(members) for part, members in parts.items()}
    start_run(
        folder,
        same_root(folder, recipe.model_dump(mode="json"), "data"),
        seed=recipe.seed,
        manifest={"sha256": manifest, "cases": counts},
    )
    if recipe.data.root is not None:
        note_root(folder, recipe.data.root)
    vectors = teacher_vectors(
        recipe.teacher, cases, kept, seed=recipe.seed, manifest=manifest, device=device
    )
    # The teacher sees every case as it is: all views of a case are to land on one vector.
    items = [
        StoredCase(case, text, None if vectors is None else vectors.get(case.id), view)
        for view in range(recipe.data.views)
        for case, text in zip(cases, texts, strict=True)
    ]
    return items, manifest


def _count(progress: Progress | None, name: str) -> Count | None:
    return None if progress is None else partial(progress, name)
