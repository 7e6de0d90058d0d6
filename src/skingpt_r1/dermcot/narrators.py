"""Narrators by name: the offline one, our own model, or any model that inspect-ai can name.

Our own model cannot be told a diagnosis to reason towards: in `reason` it diagnoses the pictures
itself, and its answer counts when it is right (rejection sampling). The offline narrator writes
from findings (recorded, measured or rendered) and annotations alone, without model or network: in
`observe` it has no label; in `reason` it cites what it reads in the observation and what speaks for
the label. On synthetic cases it can make mistakes, so that a filter has something to find.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from skingpt_r1.dermcot import corpus
from skingpt_r1.dermcot.cases import planned_candidates
from skingpt_r1.dermcot.corpus import REASONS, WORDING, CaseRecord, StageRecord
from skingpt_r1.dermcot.recipe import OFFLINE, SYNTHETIC, CorpusRecipe
from skingpt_r1.dermcot.write import (
    NOT_SUPPORTED,
    Narrator,
    Step,
    Task,
    describe_attributes,
    observe_task,
    reason_task,
)
from skingpt_r1.distill.data import FindingsByLabel
from skingpt_r1.errors import NarrativeError, RecipeError
from skingpt_r1.llm.ask import Reply
from skingpt_r1.llm.budget import Ledger, estimate
from skingpt_r1.llm.models import open_chat_model
from skingpt_r1.records import iterate_records
from skingpt_r1.simulate.damage import Damage, draw_damage, write_damaged
from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS, read_findings
from skingpt_r1.text.narrative import Narrative
from skingpt_r1.text.taxonomy import Closeness, closeness
from skingpt_r1.text.wording import urgency_of, write_observation, write_reasoning

# The narrative of the pictures and context of one case; raises NarrativeError when not readable.
Diagnose = Callable[[Sequence[Path], Mapping[str, str]], Narrative]


def ask_own_model(diagnose: Diagnose, name: str, task: Task) -> Reply:
    """What a loaded model writes; one case at a time, so that no case changes another's text.

    The model decodes greedily, so that a continued run writes the same.
    """
    try:
        said = diagnose(task.case.images, task.case.context)
    except NarrativeError as error:
        return Reply("", name, error.reason if error.reason in REASONS else "not_readable")
    if task.step == "observe":
        return Reply(said.observation, name)
    if closeness(said.diagnosis, task.diagnosis) < Closeness.SYNONYM:
        return Reply(NOT_SUPPORTED, name)
    return Reply(_titled(said.reasoning, said.diagnosis, said.differential), name)


def _titled(reasoning: str, diagnosis: str, differential: Sequence[str], advice: str = "") -> str:
    """A reply as titled lines; differential and advice only where there are any."""
    lines = {
        "Reasoning": reasoning,
        "Differential": "; ".join(differential),
        "Diagnosis": diagnosis,
        "Advice": advice,
    }
    always = ("Reasoning", "Diagnosis")
    return "\n".join(f"{name}: {text}" for name, text in lines.items() if text or name in always)


CONTRADICTED_FROM = 5.0
"""Log odds against the label from which the findings contradict it; e^5 is about 150 to 1.

Our choice, docs/sources.md: three in a thousand rendered cases without a slip are as untypical.
"""

# Which simulated mistakes belong to which text.
_SLIPS: Mapping[str, Sequence[str]] = WORDING["slips"]
# Sentences about one finding, for pictures of which few are known.
_OWN_SENTENCE: Mapping[str, Sequence[str]] = WORDING["own_sentences"]


@dataclass(frozen=True)
class OfflineNarrator:
    """Writes from findings.

    `slips` is the share of cases with a simulated mistake and `seed` the seed of the mistakes; the
    wording goes by the seed of each task. From `contradicted_from` log odds against the label it
    answers `not supported`; None never does, for data sets with too few findings to contradict.
    """

    likeness: FindingsByLabel
    slips: float = 0.0
    seed: int = 0
    contradicted_from: float | None = None

    def write(self, task: Task) -> Reply:
        """The text of one task."""
        return self._observe(task) if task.step == "observe" else self._reason(task)

    def _observe(self, task: Task) -> Reply:
        rng = random.Random(task.seed)
        case = task.case
        if not case.findings and not describe_attributes(case.attributes):
            return Reply("", OFFLINE, "empty")
        slip = self._slip(task) if case.findings else Damage()
        if slip.parts:
            # The observation does not depend on the diagnosis: any will do.
            text = write_damaged(
                case.findings, "unknown", (), slip, rng, case.context, held_out=True
            ).observation
        else:
            text = _write_sparse(case.findings, rng, case.context)
        said = " ".join([text, *describe_attributes(case.attributes)])
        return Reply(said, OFFLINE, simulated_slip=name_slip(slip))

    def _reason(self, task: Task) -> Reply:
        rng = random.Random(task.seed)
        seen = read_findings(task.observation)
        something = seen or describe_attributes(task.case.attributes)
        if not something or self._is_contradicted(seen, task.diagnosis):
            return Reply(NOT_SUPPORTED, OFFLINE)
        others = self.likeness.nearest(seen, task.diagnosis)
        slip = self._slip(task) if seen else Damage()
        if slip.parts:
            written = write_damaged(seen, task.diagnosis, others, slip, rng, held_out=True)
            reasoning, diagnosis = written.reasoning, written.diagnosis
            others = written.differential
        else:
            diagnosis = task.diagnosis
            cited = self.likeness.speaking_for(seen, diagnosis)
            reasoning = write_reasoning(seen, diagnosis, rng, urgency_of(diagnosis), cited)
        # The last sentence of a written reasoning is its advice.
        steps, _, advice = reasoning.rpartition(". ")
        text = _titled(f"{steps}.", diagnosis, others, advice)
        return Reply(text, OFFLINE, simulated_slip=name_slip(slip))

    def _is_contradicted(self, seen: Mapping[str, str], label: str) -> bool:
        if self.contradicted_from is None or not seen:
            return False
        best = max(self.likeness.log_likelihood(seen, other) for other in self.likeness.labels)
        return best - self.likeness.log_likelihood(seen, label) >= self.contradicted_from

    def _slip(self, task: Task) -> Damage:
        """The part of the case's mistake that is made in this step; both steps draw the same."""
        rng = random.Random(f"{self.seed}:{task.case.id}:slip")
        if rng.random() >= self.slips:
            return Damage()
        damage = draw_damage(rng, held_out=True)
        while not damage.parts:
            damage = draw_damage(rng, held_out=True)
        return Damage({k: v for k, v in damage.parts.items() if k in _SLIPS[task.step]})


def _write_sparse(
    findings: Mapping[str, str], rng: random.Random, context: Mapping[str, str]
) -> str:
    """An observation; where few findings are known, some get a sentence of their own."""
    if findings.keys() >= set(RENDERED_SLOTS):
        return write_observation(findings, rng, context)
    able = [slot for slot in _OWN_SENTENCE if slot in findings]
    apart = rng.sample(able, rng.randint(0, max(len(able) - 1, 0)))
    rest = {slot: value for slot, value in findings.items() if slot not in apart}
    sentences = [
        rng.choice(_OWN_SENTENCE[slot]).format(rng.choice(WORDS[slot][findings[slot]]))
        for slot in apart
    ]
    return " ".join([write_observation(rest, rng, context), *sentences])


def name_slip(damage: Damage) -> str | None:
    """A mistake as the provenance names it: kinds and strengths; None when there is none."""
    return " + ".join(f"{kind} {value:g}" for kind, value in damage.parts.items()) or None


OWN = "own:"
LEDGER = "ledger.jsonl"  # one for both texts and for every time that a run is taken up


def make_narrators(
    recipe: CorpusRecipe, folder: Path, *, max_cost: float | None = None
) -> dict[Step, Narrator]:
    """The narrators of a recipe; one that is named for both texts is made once.

    The cases of the folder are gathered; `max_cost` is in US dollars, of language models.

    Raises:
        RecipeError: a name that means no narrator.
        NarratorError: a language model that cannot be asked.
        CostError: a cost limit over calls without a price.
    """
    observe, reason = recipe.narrators.observe, recipe.narrators.reason
    ledger = Ledger(folder / LEDGER, max_cost)
    made = {name: _make(name, recipe, folder, ledger) for name in dict.fromkeys((observe, reason))}
    return {"observe": made[observe], "reason": made[reason]}


def check_name(name: str) -> None:
    """Refuse a name that means no narrator.

    Raises:
        RecipeError: see `make_narrators`.
    """
    if is_called(name) and "/" not in name:
        raise RecipeError(
            f"no narrator is called {name!r}; give {OFFLINE!r}, 'own:nano', 'own:<directory>', or "
            "a model as inspect-ai names it, for example 'openai/gpt-5', or '<URL>#<model>'"
        )


def check_models(recipe: CorpusRecipe, folder: Path, *, max_cost: float | None = None) -> None:
    """Open the language models of a recipe before any work, as far as that goes without a call.

    Raises:
        NarratorError: one is not known, its package is not installed or its key is missing.
        CostError: a cost limit over calls without a price.
    """
    ledger = Ledger(folder / LEDGER, max_cost)
    for name in filter(is_called, {recipe.narrators.observe, recipe.narrators.reason}):
        _make(name, recipe, folder, ledger)


def is_called(name: str) -> bool:
    """Whether a narrator is a language model that is called and may cost."""
    return name != OFFLINE and not name.startswith(OWN)


def _make(name: str, recipe: CorpusRecipe, folder: Path, ledger: Ledger) -> Narrator:
    check_name(name)
    if is_called(name):
        wanted = recipe.narrators
        return open_chat_model(name, api=wanted.api, calls=wanted.calls, ledger=ledger).ask
    if name.startswith(OWN):
        from skingpt_r1.model.load import load_model

        model = load_model(name.removeprefix(OWN), **recipe.models.model_dump())
        return partial(map, partial(ask_own_model, model.diagnose, name))
    cases = iterate_records(corpus.cases_path(folder), CaseRecord)
    contradicted_from = CONTRADICTED_FROM if recipe.cases.dataset == SYNTHETIC else None
    offline = OfflineNarrator(
        FindingsByLabel(case for case in cases if case.part == "candidate"),
        recipe.narrators.slips,
        recipe.seed,
        contradicted_from,
    )
    return partial(map, offline.write)


def estimate_lines(recipe: CorpusRecipe, folder: Path) -> Iterator[str]:
    """What each narrator would still be asked and could cost at most, one line for each text.

    Every case is counted, as if none were dropped on the way.
    """
    asked: tuple[tuple[Step, str, Callable[..., Task]], ...] = (
        ("observe", recipe.narrators.observe, observe_task),
        ("reason", recipe.narrators.reason, reason_task),
    )
    for step, name, make_task in asked:
        path = corpus.stage_path(folder, step)
        done = sum(1 for _ in iterate_records(path, StageRecord)) if path.is_file() else 0
        planned = islice(planned_candidates(recipe.cases, folder), done, None)
        wanted = (make_task(found, folder=folder, seed=recipe.seed) for found in planned)
        if not is_called(name):
            yield f"{step}: {name}: {sum(1 for _ in wanted):,} texts, no cost"
        else:
            api, calls = recipe.narrators.api, recipe.narrators.calls
            most = estimate(wanted, name, api=api, calls=calls, after_reply=step == "reason")
            yield f"{step}: {most}"
