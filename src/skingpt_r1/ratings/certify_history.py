"""The history of a certification: append-only, one line for each import and each set of decisions.

An import is one line, so that a killed process leaves the whole import or nothing of it. Nothing
is ever changed or removed: a later verdict of the same rater on the same case is a new revision,
however the rater spells the name; the first spelling stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from skingpt_r1.dermcot.corpus import Record
from skingpt_r1.ratings.rubric_raters import rater_key
from skingpt_r1.ratings.rules import RULE, RULE_VERSION, CertifyRules, Decision
from skingpt_r1.ratings.verdict import Rating
from skingpt_r1.records import append_record, resume_records


class Import(Record):
    """One import of ratings.

    Attributes:
        event: always `import`.
        file: name of the file, without its folder.
        sha256: of the file; None for simulated raters.
        judged: sha256 of the held-out part that was rated.
        simulated: the raters are formulas and nobody.
        imported_at: when, in UTC; None for simulated raters, whose runs can be repeated.
        refused: rows left out because they were wrong.
        unfilled: rows that nobody had filled in.
        unchanged: rows that said what the same rater had said before.
        ratings: the new verdicts, in the order of the file.
    """

    event: Literal["import"] = "import"
    file: str
    sha256: str | None
    judged: str
    simulated: bool
    imported_at: str | None
    refused: int
    unfilled: int
    unchanged: int
    ratings: tuple[Rating, ...]


class Decisions(Record):
    """Decisions that are new or other than before.

    Attributes:
        event: always `decisions`.
        rule: name of the rule.
        version: of the rule.
        limits: its numbers.
        decisions: one for each case that changed.
    """

    event: Literal["decisions"] = "decisions"
    rule: str = RULE
    version: str = RULE_VERSION
    limits: dict[str, Any]
    decisions: tuple[Decision, ...]


Event = Annotated[Import | Decisions, Field(discriminator="event")]


@dataclass(frozen=True, slots=True)
class History:
    """What a history file says now.

    Attributes:
        path: the file.
        imports: number of imports.
        ratings: case -> rater -> the latest verdict, the latest import last.
        revisions: (case, rater) -> number of verdicts so far.
        names: `rater_key` of each rater -> the first spelling, which stands everywhere else.
        decisions: case -> the latest decision.
        limits: numbers of the rule at the latest decisions; None before any.
        judged: sha256 of the held-out part that was rated; None before any import.
        simulated: whether the raters are simulated; None before any import.
    """

    path: Path
    imports: int
    ratings: Mapping[str, Mapping[str, Rating]]
    revisions: Mapping[tuple[str, str], int]
    names: Mapping[str, str]
    decisions: Mapping[str, Decision]
    limits: Mapping[str, Any] | None
    judged: str | None
    simulated: bool | None

    def name_of(self, rater: str) -> str:
        """The spelling that stands of a rater's name; the given one of a new rater."""
        return self.names.get(rater_key(rater), rater)

    def of(self, case: str) -> list[Rating]:
        """The current ratings of a case, the latest last."""
        return list(self.ratings.get(case, {}).values())


def read_history(path: Path) -> History:
    """The current state of a history; empty when the file does not exist.

    Raises:
        RecordError: a line breaks the schema.
    """
    imports = 0
    simulated: bool | None = None
    judged: str | None = None
    limits: Mapping[str, Any] | None = None
    ratings: dict[str, dict[str, Rating]] = {}
    revisions: dict[tuple[str, str], int] = {}
    names: dict[str, str] = {}
    decisions: dict[str, Decision] = {}
    for event in resume_records(path, cast(Any, Event)).records:
        if isinstance(event, Decisions):
            limits = event.limits
            decisions.update({decision.case: decision for decision in event.decisions})
            continue
        imports, simulated, judged = imports + 1, event.simulated, event.judged
        for rating in event.ratings:
            of_case = ratings.setdefault(rating.case, {})
            rater = names.setdefault(rater_key(rating.rater), rating.rater)
            # Counted anew: histories of old may hold one rater as two, each with a first revision.
            count = revisions[rating.case, rater] = revisions.get((rating.case, rater), 0) + 1
            of_case.pop(rater, None)
            of_case[rater] = rating.model_copy(update={"rater": rater, "revision": count})
    return History(path, imports, ratings, revisions, names, decisions, limits, judged, simulated)


def append_import(history: History, event: Import) -> History:
    """Add one import; revisions are counted here.

    Raises:
        RecordError: the file cannot be written.
    """
    counted = []
    for rating in event.ratings:
        rater = history.name_of(rating.rater)
        revision = history.revisions.get((rating.case, rater), 0) + 1
        counted.append(rating.model_copy(update={"rater": rater, "revision": revision}))
    append_record(history.path, event.model_copy(update={"ratings": tuple(counted)}), sync=True)
    return read_history(history.path)


def append_decisions(
    history: History, decisions: Sequence[Decision], rules: CertifyRules
) -> History:
    """Add the decisions that are new or other than before; nothing when none is.

    Raises:
        RecordError: the file cannot be written.
    """
    limits = rules.model_dump()
    same_rule = history.limits == limits
    changed = tuple(
        decision
        for decision in decisions
        if not same_rule or history.decisions.get(decision.case) != decision
    )
    if not changed:
        return history
    append_record(history.path, Decisions(limits=limits, decisions=changed), sync=True)
    return read_history(history.path)
