"""The offline narrator: it writes only from what is known, and needs no model and no network.

What is known are the findings of a case (recorded, measured or rendered) and annotations of what is
seen. In `observe` it has no label; in `reason` it cites what it reads in the observation and what
speaks for the label. On synthetic cases it can be told to make mistakes, so that a filter has
something to find.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from skingpt_r1.dermcot.corpus import CaseRecord
from skingpt_r1.dermcot.known import describe_attributes
from skingpt_r1.dermcot.recipe import OFFLINE
from skingpt_r1.distill.narratives import FindingsByLabel
from skingpt_r1.llm.ask import NOT_SUPPORTED, Reply, Task
from skingpt_r1.simulate.damage import (
    BROKEN,
    DROPPED,
    INVENTED,
    UNSAFE,
    VAGUE,
    WRONG,
    Damage,
    draw_damage,
    write_damaged,
)
from skingpt_r1.text.findings import RENDERED_SLOTS, WORDS, read_findings
from skingpt_r1.text.phrases import urgency_of, write_observation, write_reasoning

CONTRADICTED_FROM = 5.0
"""Log odds against the label from which the findings contradict it; e^5 is about 150 to 1.

Our choice, docs/sources.md: three in a thousand rendered cases without a slip are as untypical.
"""

# Which mistakes belong to which text.
_OF_STEP = {"observe": (DROPPED, INVENTED, VAGUE), "reason": (WRONG, BROKEN, UNSAFE)}
# Sentences about one finding, for pictures of which few are known.
_OWN_SENTENCE = {
    "size": ("It is {} in size.", "Its size is {}."),
    "colour": ("Its colour is {}.", "It appears {}."),
    "border": ("The border is {}.", "Its margin is {}."),
    "surface": ("The surface is {}.", "It has a {} surface."),
    "symmetry": ("The shape is {}.", "Its outline is {}."),
    "elevation": ("It is {}.", "In profile it is {}."),
}


class OfflineNarrator:
    """Writes from findings.

    Args:
        likeness: which labels share which findings; for differentials and contradictions.
        slips: share of cases with a simulated mistake.
        seed: of the mistakes; the wording goes by the seed of each task.
        contradicted_from: log odds against the label from which it answers `not supported`; None
            never does, for data sets whose findings are too few to contradict anything.
    """

    def __init__(
        self,
        likeness: FindingsByLabel,
        *,
        slips: float = 0.0,
        seed: int = 0,
        contradicted_from: float | None = None,
    ) -> None:
        self._likeness = likeness
        self._slips = slips
        self._seed = seed
        self._contradicted_from = contradicted_from

    @property
    def name(self) -> str:
        """`offline`."""
        return OFFLINE

    def write(self, tasks: Sequence[Task]) -> Iterator[Reply]:
        """One reply for each task, in order."""
        for task in tasks:
            yield self._observe(task) if task.step == "observe" else self._reason(task)

    def _observe(self, task: Task) -> Reply:
        rng = random.Random(task.seed)
        case = task.case
        if not case.findings and not describe_attributes(case.attributes):
            return Reply("", OFFLINE, "empty")
        slip = self._slip(task) if case.findings else Damage()
        if slip.parts:
            # The observation does not depend on the name: any will do.
            name = "unknown"
            text = write_damaged(
                case.findings, name, (), slip, rng, case.context, held_out=True
            ).observation
        else:
            text = _write_sparse(case.findings, rng, case.context)
        said = " ".join([text, *describe_attributes(case.attributes)])
        return Reply(said, OFFLINE, simulated_slip=name_slip(slip))

    def _reason(self, task: Task) -> Reply:
        rng = random.Random(task.seed)
        seen = read_findings(task.observation)
        known = seen or describe_attributes(task.case.attributes)
        if not known or self._is_contradicted(seen, task.diagnosis):
            return Reply(NOT_SUPPORTED, OFFLINE)
        others = self._likeness.nearest(seen, task.diagnosis)
        slip = self._slip(task) if seen else Damage()
        if slip.parts:
            written = write_damaged(seen, task.diagnosis, others, slip, rng, held_out=True)
            text = _titled(written.reasoning, written.diagnosis, written.differential)
        else:
            advice = urgency_of(task.diagnosis)
            cited = self._likeness.speaking_for(seen, task.diagnosis)
            reasoning = write_reasoning(seen, task.diagnosis, rng, advice, cited)
            text = _titled(reasoning, task.diagnosis, others)
        return Reply(text, OFFLINE, simulated_slip=name_slip(slip))

    def _is_contradicted(self, seen: Mapping[str, str], label: str) -> bool:
        if self._contradicted_from is None or not seen:
            return False
        best = max(self._likeness.log_likelihood(seen, other) for other in self._likeness.labels)
        return best - self._likeness.log_likelihood(seen, label) >= self._contradicted_from

    def _slip(self, task: Task) -> Damage:
        """The part of the case's mistake that is made in this step; both steps draw the same."""
        rng = random.Random(f"{self._seed}:{task.case.id}:slip")
        if rng.random() >= self._slips:
            return Damage()
        damage = draw_damage(rng, held_out=True)
        while not damage.parts:
            damage = draw_damage(rng, held_out=True)
        return Damage({k: v for k, v in damage.parts.items() if k in _OF_STEP[task.step]})


def likeness_of(cases: Iterable[CaseRecord]) -> FindingsByLabel:
    """Which labels share which findings, counted over the candidates; holds counts alone."""
    return FindingsByLabel(case for case in cases if case.part == "candidate")


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


def _titled(reasoning: str, diagnosis: str, differential: Sequence[str]) -> str:
    """The reply as titled lines; the last sentence of a written reasoning is its advice."""
    steps, _, advice = reasoning.rpartition(". ")
    lines = [f"Reasoning: {steps}."]
    if differential:
        lines.append(f"Differential: {'; '.join(differential)}")
    return "\n".join([*lines, f"Diagnosis: {diagnosis}", f"Advice: {advice}"])
