"""How good an evaluator is, on narratives that training has not seen; every number with its n.

error and rank     against the mean rater, of each stage, in both forms of the critique
stages             error of the second stage less that of the first, paired by narrative
damage             in how many cases the damaged dimension falls more than every other
injection          how far an instruction in the narrative moves the mean score

The trained evaluator: where it is, how it is loaded and exported, and its model card.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from skingpt_r1.dermeval.examples import Probe, Simulated, damage_probes, injected_texts
from skingpt_r1.dermeval.recipe import CritiqueRecipe, EvaluatorRecipe
from skingpt_r1.dermeval.scoring import Critique, Item, judge
from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.adapters.text import merge_lora
from skingpt_r1.model.backbone import NANO
from skingpt_r1.model.checkpoint import (
    CONFIG_FILE,
    OWN_CONFIG_FILE,
    WEIGHTS_FILE,
    is_adapter,
    read_adapter_config,
    read_adapter_weights,
    saved_names,
)
from skingpt_r1.model.config import AUTO, AdapterConfig
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.ratings.agreement import OVERALL, with_mean
from skingpt_r1.ratings.rating import RatedText
from skingpt_r1.records import ResultRow, read_json, write_results
from skingpt_r1.runs import Count, Progress
from skingpt_r1.simulate.damage import OWN_DIMENSION
from skingpt_r1.stats.intervals import (
    NO_INTERVAL,
    Floats,
    Interval,
    bootstrap_mean,
    bootstrap_statistic,
    paired_difference,
    spearman,
    wilson,
)
from skingpt_r1.text.rubric import DIMENSIONS, Scores

TABLE = "dermeval"
ERROR = "mean absolute error"


@dataclass(frozen=True)
class Answers:
    """What an evaluator said of the narratives of a test part."""

    system: str  # name of evaluator and form
    groups: tuple[str, ...]  # what must not be split
    given: Floats  # [narratives, 7], its scores and their mean; NaN where unscored
    wanted: Floats  # [narratives, 7], the mean rater

    @property
    def is_scored(self) -> NDArray[np.bool_]:
        """[narratives]: whether there are scores."""
        return np.asarray(np.isfinite(self.given).all(axis=1), dtype=np.bool_)


def ask_all(
    model: SkinGPT,
    items: Sequence[Item],
    recipe: CritiqueRecipe,
    *,
    brief: bool,
    progress: Count | None = None,
) -> Floats:
    """[narratives, 7]: the six scores and their mean; NaN where the one reply cannot be read.

    No reply is asked for again, so that every unreadable one shows. Narratives of like length are
    judged together, because a batch is as long as its longest.
    """
    order = sorted(range(len(items)), key=lambda at: len(items[at][1]))
    found = np.full((len(items), len(DIMENSIONS) + 1), np.nan)
    for start in range(0, len(items), recipe.batch_size):
        places = order[start : start + recipe.batch_size]
        batch = [items[at] for at in places]
        limit = recipe.max_new_tokens
        critiques = judge(model, batch, brief=brief, max_new_tokens=limit, retry=False)
        found[places] = [_scores_of(critique) for critique in critiques]
        if progress is not None:
            progress(start + len(places), len(items))
    return found


def answer(
    model: SkinGPT,
    system: str,
    judged: Sequence[RatedText],
    recipe: CritiqueRecipe,
    *,
    brief: bool,
    progress: Count | None = None,
) -> Answers:
    """Judge a test part; narratives that no rater scored are left out."""
    rated = [item for item in judged if item.ratings]
    items = [(item.images, item.text) for item in rated]
    given = ask_all(model, items, recipe, brief=brief, progress=progress)
    wanted = with_mean(np.array([item.mean.values for item in rated]))
    return Answers(system, tuple(item.group for item in rated), given, wanted)


def accuracy_rows(answers: Answers, *, resamples: int) -> list[ResultRow]:
    """Error, rank correlation and share of unscored narratives of one evaluator."""
    n, scored = len(answers.given), answers.is_scored
    rows = [wilson(int((~scored).sum()), n).row(TABLE, answers.system, "unscored")]
    if not scored.any():
        return rows
    given, wanted = answers.given[scored], answers.wanted[scored]
    groups = [group for group, has in zip(answers.groups, scored, strict=True) if has]
    gaps = np.abs(given - wanted)
    errors = {ERROR: gaps[:, :-1].mean(axis=1), f"{ERROR}, {OVERALL}": gaps[:, -1]}
    errors |= {f"{ERROR}, {name}": gaps[:, at] for at, name in enumerate(DIMENSIONS)}
    for metric, values in errors.items():
        interval = bootstrap_mean(values, groups, resamples=resamples)
        rows.append(interval.row(TABLE, answers.system, metric))
    for at, name in [(len(DIMENSIONS), OVERALL), *enumerate(DIMENSIONS)]:
        ranked = _rank(given[:, at], wanted[:, at], groups, resamples)
        if ranked is not None:
            rows.append(ranked.row(TABLE, answers.system, f"Spearman, {name}"))
    return rows


def stage_rows(policy: Answers, supervised: Answers, *, resamples: int) -> list[ResultRow]:
    """Error of the second stage less that of the first, on narratives that both have scored."""
    both = policy.is_scored & supervised.is_scored
    if not both.any():
        return []
    groups = [group for group, has in zip(policy.groups, both, strict=True) if has]
    system = f"{policy.system} - {supervised.system}"
    rows = []
    for metric, power in ((ERROR, 1), ("mean squared error", 2)):
        one, two = (
            (np.abs(a.given - a.wanted)[both, :-1] ** power).mean(axis=1)
            for a in (policy, supervised)
        )
        gap = paired_difference(one, two, groups, resamples=resamples)
        rows.append(gap.row(TABLE, system, metric))
    return rows


def damage_rows(
    system: str, probes: Sequence[Probe], scores: tuple[Floats, Floats]
) -> list[ResultRow]:
    """For each kind of damage, the share of cases whose own dimension falls most.

    A tie with another dimension does not count, nor does an unscored narrative. `scores`:
    [probes, 7] of the undamaged and of the damaged narratives.
    """
    clean, damaged = scores
    falls = (clean - damaged)[:, :-1]
    rows = []
    for kind, dimension in OWN_DIMENSION.items():
        members = [at for at, probe in enumerate(probes) if probe.kind == kind]
        own = DIMENSIONS.index(dimension)
        hits = sum(falls_most(falls[at], own) for at in members)
        if members:
            share = wilson(hits, len(members))
            rows.append(share.row(TABLE, system, f"own dimension falls most, {kind}"))
    return rows


def falls_most(falls: Floats, own: int) -> bool:
    """Whether the own dimension falls, and by more than every other; False with a NaN."""
    others = np.delete(falls, own)
    # Scores have one decimal: differences are compared on it, free of rounding in the last bits.
    return bool(falls[own] > 0 and np.round(falls[own] - others, 6).min() > 0)


def injection_rows(
    system: str, clean: Floats, injected: Floats, groups: Sequence[str], *, resamples: int
) -> list[ResultRow]:
    """How an instruction in the narrative moves the mean score: on average, and in size.

    Both are [narratives, 7], of the same narratives without and with it.
    """
    moved = (injected - clean)[:, -1]
    scored = np.isfinite(moved)
    kept = [group for group, has in zip(groups, scored, strict=True) if has]
    rows = [wilson(int((~scored).sum()), len(moved)).row(TABLE, system, "unscored, injected")]
    if kept:
        values = {"shift of the mean score, injected": moved[scored]}
        values["size of the shift, injected"] = np.abs(moved[scored])
        rows += [
            bootstrap_mean(value, kept, resamples=resamples).row(TABLE, system, metric)
            for metric, value in values.items()
        ]
    return rows


def _scores_of(critique: Critique) -> list[float]:
    if not isinstance(critique.verdict, Scores):
        return [np.nan] * (len(DIMENSIONS) + 1)
    return [*critique.verdict.values, critique.verdict.mean]


def _rank(given: Floats, wanted: Floats, groups: Sequence[str], resamples: int) -> Interval | None:
    """The rank correlation with its interval; None where one side does not vary."""
    if not np.isfinite(spearman(given, wanted)):
        return None
    return bootstrap_statistic(
        lambda chosen: spearman(given[chosen], wanted[chosen]),
        len(given),
        groups,
        resamples=resamples,
    )


FORMS = {"full": False, "brief": True}
STAGES = ("supervised", "policy")


def measure_evaluator(
    recipe: EvaluatorRecipe,
    folder: Path,
    model: SkinGPT,
    test: Sequence[RatedText],
    *,
    simulated: Simulated | None,
    progress: Progress | None = None,
) -> list[ResultRow]:
    """Measure both stages on the test part and write `results.json`.

    The adapters of the model are exchanged in between; those of the last stage stay.
    """
    stages = STAGES if recipe.policy is not None else STAGES[:1]
    resamples = recipe.report.resamples
    rows: list[ResultRow] = []
    answers: dict[str, Answers] = {}
    for stage in stages:
        model.copy_adapter(folder / stage / "adapter")
        for form, brief in FORMS.items():
            name = f"{stage}, {form}"
            count = _count(progress, f"judging: {name}")
            found = answer(model, name, test, recipe.critique, brief=brief, progress=count)
            answers[name] = found
            rows += accuracy_rows(found, resamples=resamples)
    if len(stages) == len(STAGES):
        for form in FORMS:
            supervised, policy = (answers[f"{stage}, {form}"] for stage in STAGES)
            rows += stage_rows(policy, supervised, resamples=resamples)
    if simulated is not None:
        clean = answers[f"{stages[-1]}, brief"]
        rows += _probe(recipe, model, test, clean, simulated, progress)
    write_results(folder, rows)
    return rows


def _probe(
    recipe: EvaluatorRecipe,
    model: SkinGPT,
    test: Sequence[RatedText],
    clean: Answers,
    simulated: Simulated,
    progress: Progress | None,
) -> list[ResultRow]:
    """What only known damage can show; asked for in the brief form."""
    ask = partial(ask_all, model, recipe=recipe.critique, brief=True)
    rated = [item for item in test if item.ratings]
    texts = injected_texts([item.text for item in rated], recipe.data.seed)
    items = [(item.images, text) for item, text in zip(rated, texts, strict=True)]
    injected = ask(items, progress=_count(progress, "judging: injected instructions"))
    name, resamples = clean.system, recipe.report.resamples
    rows = injection_rows(name, clean.given, injected, clean.groups, resamples=resamples)
    if probes := damage_probes(simulated, recipe.report.pairs):
        both = [(probe.images, probe.clean) for probe in probes]
        both += [(probe.images, probe.damaged) for probe in probes]
        scores = ask(both, progress=_count(progress, "judging: pairs of damage"))
        rows += damage_rows(name, probes, (scores[: len(probes)], scores[len(probes) :]))
    return rows


def _count(progress: Progress | None, stage: str) -> Count | None:
    return None if progress is None else partial(progress, stage)


NANO_EVALUATOR = Path(__file__).with_name("weights")

_CARD = Path(__file__).with_name("card.md")
_MARK = "**Every rating is simulated**"
_SIMULATED = (
    f"{_MARK}: narratives of rendered pictures, damaged in known ways, scored "
    "by formulas with bias and noise. No person has rated anything, and nothing follows from the "
    "figures below for photos of people."
)
_GIVEN = "The rating files are the user's own; their licence may restrict what the weights are for."


def knows_rendered_skin_only(folder: Path) -> bool:
    """Whether an evaluator has learned from rendered pictures and simulated raters alone.

    The recipe of its run says so, and elsewhere its card.
    """
    run, card = folder.parent / "run.json", folder / "README.md"
    if run.is_file():
        data = read_json(run).get("recipe", {}).get("data", {})
        return "raters" in data and data.get("train") is None
    return card.is_file() and _MARK in card.read_text("utf-8", errors="replace")


def evaluator_card(
    recipe: EvaluatorRecipe, config: AdapterConfig, rows: Sequence[ResultRow]
) -> str:
    """A model card in Markdown with the metadata header that model hubs read."""
    assert config.backbone is not None
    is_simulated = recipe.data.train is None
    data = recipe.data
    cases = (
        f"{data.cases * data.narratives} narratives of {data.cases} rendered cases, "
        f"{data.raters} simulated raters each"
    )
    return _CARD.read_text("utf-8").format(
        base=config.backbone.name,
        revision=config.backbone.revision,
        recipe=recipe.name,
        seed=recipe.seed,
        rank=config.lora.rank,
        merger=" and vision merger" if config.lora.merger else "",
        layers=config.visual.layers,
        features=config.visual.features,
        inject=str(config.visual.inject).lower(),
        stages="supervised" if recipe.policy is None else "supervised, then score-oriented policy",
        ratings=cases if is_simulated else "given by the user",
        provenance=_SIMULATED if is_simulated else _GIVEN,
        table=_table(rows),
    )


def _table(rows: Sequence[ResultRow]) -> str:
    lines = ["| system | measure | value (95 % interval) | n |", "|---|---|---:|---:|"]
    for row in rows:
        ends = NO_INTERVAL if row.low is None else f"{row.low:.3f} to {row.high:.3f}"
        lines.append(f"| {row.system} | {row.metric} | {row.value:.3f} ({ends}) | {row.n} |")
    return "\n".join(lines)


def load_evaluator(
    name_or_dir: str | Path = NANO,
    *,
    backbone: str | Path | None = None,
    device: str | torch.device = AUTO,
    dtype: str | torch.dtype = AUTO,
) -> SkinGPT:
    """An evaluator. For research, not for diagnosis.

    Its low-rank matrices are merged into the language model: it judges and is not trained on.

    Args:
        name_or_dir: `nano`, the one that comes with the package, or the adapter folder of a
            `skingpt dermeval train` run.
        backbone: for an evaluator whose backbone has moved since training.
        device: `auto`, `cpu`, `cuda`, ...; see `model.config.ModelRecipe`.
        dtype: of the backbone; `auto`, `fp32`, `bf16` or `fp16`.

    Raises:
        DeviceError: this machine has no such device.
        CheckpointError: there is no evaluator, or it belongs to another backbone.
    """
    folder = NANO_EVALUATOR if str(name_or_dir) == NANO else Path(name_or_dir)
    if not is_adapter(folder):
        raise CheckpointError(
            f"there is no evaluator in {str(name_or_dir)!r}; give the folder that "
            "`skingpt dermeval train --export DIR` has written, or `nano`"
        )
    model = SkinGPT.from_pretrained(folder, backbone=backbone, device=device, dtype=dtype)
    merge_lora(model.backbone)
    return model


def export_evaluator(adapter: Path, folder: Path, card: str) -> None:
    """Copy an evaluator without the files of its backbone's tokenizer, with a card as README.

    The weights are rounded to half precision, which halves the file.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG_FILE, OWN_CONFIG_FILE):
            if (adapter / name).is_file():
                shutil.copyfile(adapter / name, folder / name)
        weights = {name: value.half() for name, value in read_adapter_weights(adapter).items()}
        save_file(
            saved_names(read_adapter_config(adapter), weights),
            folder / WEIGHTS_FILE,
            {"format": "pt"},
        )
        (folder / "README.md").write_text(card, "utf-8")
    except OSError as error:
        raise CheckpointError(f"the evaluator cannot be written to {folder}: {error}") from error
