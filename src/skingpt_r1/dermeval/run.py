"""One call that trains an evaluator by a recipe and measures it, or continues where it stopped.

folder/
run.json        the resolved recipe, seed, versions, commit, hashes of the rating files
data/           simulated ratings and rendered pictures, where the recipe names no files
pictures/       what the frozen tower says of each picture, for the training part
supervised/     checkpoints, metrics and adapter of the first stage
policy/         the same of the second stage
adapter/        the evaluator, in the Hugging Face layout
results.json    what `report.py` measures
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from accelerate import PartialState

from skingpt_r1.dermeval.examples import (
    CritiqueExamples,
    Simulated,
    mean_lessons,
    rater_lessons,
    simulate,
    store_pictures,
)
from skingpt_r1.dermeval.policy import PolicyObjective, PolicyWeights, make_policy, question_joiner
from skingpt_r1.dermeval.recipe import EvaluatorRecipe
from skingpt_r1.dermeval.report import measure_evaluator
from skingpt_r1.distill.recipe import LossWeights
from skingpt_r1.distill.store import FeatureStore
from skingpt_r1.distill.trainer import finish_stage, make_trained, own_shared, train
from skingpt_r1.errors import DatasetError
from skingpt_r1.model.backbone import load_backbone
from skingpt_r1.model.config import AUTO, training_state
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.ratings.rating import RatedText, read_ratings
from skingpt_r1.records import ResultRow, sha256_file, start_run
from skingpt_r1.runs import Progress

CRITIQUE_ONLY = LossWeights(text=1.0, visual=0.0, balance=0.0, tone=0.0)


@dataclass(frozen=True)
class TrainedEvaluator:
    """What a run leaves."""

    model: SkinGPT  # the evaluator, in evaluation mode
    adapter: Path  # its folder
    rows: list[ResultRow]  # what was measured, as in `results.json`


def train_evaluator(
    recipe: EvaluatorRecipe, folder: Path, *, progress: Progress | None = None, quiet: bool = True
) -> TrainedEvaluator:
    """Carry out a recipe: data, both stages, measurement.

    Under `torchrun` the pictures and both stages are shared by the processes.

    Raises:
        SkinGPTError: bad ratings, a changed recipe, a loss that is not finite.
    """
    state = training_state(recipe.models.device)
    with own_shared(folder, state):
        data = _load(recipe, folder, state)
        model = build_evaluator(recipe, state.device)
        pictures = _store(recipe, folder / "pictures", model, data, state, progress)
        stages = {"supervised": _stage_one} | ({"policy": _stage_two} if recipe.policy else {})
        for name, teach in stages.items():
            place = folder / name
            work = partial(teach, recipe, place, model, data.train, pictures, quiet)
            finish_stage(place, model, state, work)
        rows: list[ResultRow] = []
        if state.is_main_process:
            model.save_pretrained(folder / "adapter")
        state.wait_for_everyone()
        if state.is_main_process:
            rows = measure_evaluator(
                recipe, folder, model, data.test, simulated=data.simulated, progress=progress
            )
        state.wait_for_everyone()
    return TrainedEvaluator(model, folder / "adapter", rows)


def build_evaluator(recipe: EvaluatorRecipe, device: torch.device | str = AUTO) -> SkinGPT:
    """Untrained adapters on the recipe's backbone; their first values depend on the seed only.

    Raises:
        CheckpointError: the backbone does not load.
    """
    backbone = load_backbone(recipe.backbone, device=device, dtype=recipe.models.dtype)
    torch.manual_seed(recipe.seed)
    return SkinGPT(backbone, recipe.adapter)


@dataclass(frozen=True)
class _Data:
    """The ratings of a run."""

    train: list[RatedText]
    test: list[RatedText]
    simulated: Simulated | None


def _load(recipe: EvaluatorRecipe, folder: Path, state: PartialState) -> _Data:
    with state.main_process_first():
        simulated = None
        if recipe.data.train is None or recipe.data.test is None:
            simulated = simulate(folder / "data", recipe.data)
            paths = simulated.train, simulated.test
        else:
            paths = recipe.data.train, recipe.data.test
        train_part, test_part = (read_ratings(path) for path in paths)
        _check(train_part, test_part)
        hashes = {"train": sha256_file(paths[0]), "test": sha256_file(paths[1])}
        counts = {"train": len(train_part), "test": len(test_part)}
        start_run(
            folder,
            recipe.model_dump(mode="json"),
            seed=recipe.seed,
            manifest={"sha256": hashes, "narratives": counts},
        )
    return _Data(train_part, test_part, simulated)


def _check(train_part: list[RatedText], test_part: list[RatedText]) -> None:
    """The parts must not share a narrative or a group, and must have scores."""
    for name, part in (("train", train_part), ("test", test_part)):
        if not any(item.ratings for item in part):
            raise DatasetError(f"no narrative of data.{name} has scores; nothing can be learned")
    groups = {item.group for item in train_part}
    shared = [item.id for item in test_part if item.group in groups]
    if shared:
        raise DatasetError(
            f"{len(shared)} narratives of data.test belong to groups of data.train; keep a patient "
            "in one of the two files",
            shared,
        )


def _store(
    recipe: EvaluatorRecipe,
    folder: Path,
    model: SkinGPT,
    data: _Data,
    state: PartialState,
    progress: Progress | None,
) -> FeatureStore:
    count = None if progress is None else partial(progress, "pictures")
    part = (state.process_index, state.num_processes)
    store_pictures(model, data.train, recipe.features, folder, count, part)
    state.wait_for_everyone()
    return FeatureStore(folder)


def _stage_one(
    recipe: EvaluatorRecipe,
    folder: Path,
    model: SkinGPT,
    judged: list[RatedText],
    pictures: FeatureStore,
    quiet: bool,
) -> None:
    stage = recipe.supervised
    make_lessons = mean_lessons if stage.targets == "mean" else rater_lessons
    lessons = make_lessons(judged, brief=stage.brief, seed=recipe.seed)
    examples = CritiqueExamples(pictures, lessons, model)
    train(
        make_trained(model, stage.precision),
        examples,
        stage,
        weights=CRITIQUE_ONLY,
        folder=folder,
        seed=recipe.seed,
        lengths=examples.lengths,
        pad_id=model.needed_processor.pad_id,
        quiet=quiet,
    )


def _stage_two(
    recipe: EvaluatorRecipe,
    folder: Path,
    model: SkinGPT,
    judged: list[RatedText],
    pictures: FeatureStore,
    quiet: bool,
) -> None:
    stage = recipe.policy
    assert stage is not None
    lessons = mean_lessons(judged, brief=stage.brief, seed=recipe.seed)
    objective = PolicyObjective(
        model,
        stage,
        max_new_tokens=recipe.critique.max_new_tokens,
        seed=recipe.seed,
        reference=model.adapter_state(),
    )
    train(
        make_policy(objective),
        CritiqueExamples(pictures, lessons, model),
        stage,
        weights=PolicyWeights(divergence=stage.kl, supervised=stage.supervised),
        folder=folder,
        seed=recipe.seed,
        pad_id=model.needed_processor.pad_id,
        quiet=quiet,
        join=question_joiner(stage),
    )
