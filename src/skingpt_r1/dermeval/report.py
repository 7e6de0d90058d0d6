"""The measurement at the end of a run: every stage judged, the table written, the card filled."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from skingpt_r1.dermeval.recipe import EvaluatorRecipe
from skingpt_r1.dermeval.report_card import (
    Answers,
    accuracy_rows,
    answer,
    ask_all,
    damage_rows,
    injection_rows,
    stage_rows,
)
from skingpt_r1.dermeval.simulated import Simulated, damage_probes, injected_texts
from skingpt_r1.model.checkpoint import copy_adapter
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.ratings.rating import Judged
from skingpt_r1.records import ResultRow, write_results

Progress = Callable[[str, int, int], None]
FORMS = {"full": False, "brief": True}
STAGES = ("supervised", "policy")


def measure_evaluator(
    recipe: EvaluatorRecipe,
    folder: Path,
    model: SkinGPT,
    test: Sequence[Judged],
    *,
    simulated: Simulated | None,
    progress: Progress | None = None,
) -> list[ResultRow]:
    """Measure both stages on the test part and write `results.json`.

    Args:
        recipe: of the run.
        folder: of the run; the adapters of both stages are there.
        model: the evaluator; its adapters are exchanged in between and put back at the end.
        test: narratives of the test part.
        simulated: what is known of the test part, where it is simulated.
        progress: told about each stage.
    """
    stages = STAGES if recipe.policy is not None else STAGES[:1]
    resamples = recipe.report.resamples
    rows: list[ResultRow] = []
    answers: dict[str, Answers] = {}
    for stage in stages:
        copy_adapter(folder / stage / "adapter", model)
        for form, brief in FORMS.items():
            name = f"{stage}, {form}"
            told = _told(progress, f"judging: {name}")
            found = answer(model, name, test, recipe.critique, brief=brief, progress=told)
            answers[name] = found
            rows += accuracy_rows(found, resamples=resamples)
    if len(stages) == len(STAGES):
        for form in FORMS:
            pair = [answers[f"{stage}, {form}"] for stage in STAGES]
            rows += stage_rows(pair[1], pair[0], resamples=resamples)
    if simulated is not None:
        last = stages[-1]
        plain = answers[f"{last}, brief"]
        rows += _probe(recipe, model, last, test, plain, simulated, progress)
    write_results(folder, rows)
    return rows


def _probe(
    recipe: EvaluatorRecipe,
    model: SkinGPT,
    stage: str,
    test: Sequence[Judged],
    plain: Answers,
    simulated: Simulated,
    progress: Progress | None,
) -> list[ResultRow]:
    """What only known damage can show; asked for in the brief form."""
    name = f"{stage}, brief"
    rated = [item for item in test if item.ratings]
    texts = injected_texts([item.text for item in rated], recipe.data.seed)
    items = [(item.images, text) for item, text in zip(rated, texts, strict=True)]
    told = _told(progress, "judging: injected instructions")
    injected = ask_all(model, items, recipe.critique, brief=True, progress=told)
    rows = injection_rows(
        name, plain.given, injected, plain.groups, resamples=recipe.report.resamples
    )
    probes = damage_probes(simulated, recipe.report.pairs)
    if probes:
        told = _told(progress, "judging: pairs of damage")
        both = [(probe.images, probe.clean) for probe in probes]
        both += [(probe.images, probe.damaged) for probe in probes]
        scores = ask_all(model, both, recipe.critique, brief=True, progress=told)
        rows += damage_rows(name, probes, (scores[: len(probes)], scores[len(probes) :]))
    return rows


def _told(progress: Progress | None, stage: str) -> Callable[[int, int], None] | None:
    return None if progress is None else partial(progress, stage)
