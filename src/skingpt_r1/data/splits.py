"""Parts of a data set that share no patient, lesion or file series."""

import logging
import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from skingpt_r1.case import Case, Split
from skingpt_r1.errors import DatasetError, RecipeError

logger = logging.getLogger(__name__)

GroupKey = tuple[str, str]
Parts = dict[Split, list[Case]]


def split_cases(cases: Sequence[Case], fractions: Mapping[Split, float], seed: int) -> Parts:
    """Cut cases into parts at random; a group is never in two parts.

    Labels are spread over the parts in proportion to `fractions`, counted in cases; no label is one
    more label. A label with at least as many groups as parts is in every part, as long as groups
    have one label each; one with fewer goes to the larger parts first. Official splits are ignored.
    Same cases and seed, same parts, whatever the order; each part is sorted by data set and id.

    Raises:
        RecipeError: the fractions are not positive or do not sum to 1.
        DatasetError: an id appears twice, or there are fewer groups than parts.
    """
    _check_fractions(fractions)
    groups = _groups(cases)
    if len(groups) < len(fractions):
        raise DatasetError(
            f"{len(groups)} groups cannot fill {len(fractions)} parts without sharing a group; "
            "at least one group per part is needed; ask for fewer parts or add cases"
        )
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    part_of = _assign(order, groups, fractions)
    parts: Parts = {part: [] for part in Split if part in fractions}
    for key, members in groups.items():
        parts[part_of[key]] += members
    return {part: sorted(members, key=_identity) for part, members in parts.items()}


def official_split(cases: Sequence[Case]) -> Parts:
    """The parts that the data set itself names, as published.

    Published splits may share groups; that is honoured, and logged as a warning with the count.

    Raises:
        DatasetError: there are no cases, or some have no official split.
    """
    without = [case.id for case in cases if case.split is None]
    if without or not cases:
        raise DatasetError(
            f"{len(without)} of {len(cases)} cases have no official split; all must have one; "
            "use split_cases, or a data set that publishes a split",
            without,
        )
    members = {part: [case for case in cases if case.split == part] for part in Split}
    parts = {part: sorted(found, key=_identity) for part, found in members.items() if found}
    if crossing := shared_groups(parts):
        logger.warning("the official split shares %d groups between its parts", len(crossing))
    return parts


def shared_groups(parts: Mapping[Split, Sequence[Case]]) -> list[GroupKey]:
    """The groups, as (data set, group), that have cases in more than one part."""
    seen: dict[GroupKey, set[Split]] = defaultdict(set)
    for part, members in parts.items():
        for case in members:
            seen[case.dataset, case.group].add(part)
    return sorted(key for key, where in seen.items() if len(where) > 1)


def _identity(case: Case) -> tuple[str, str]:
    return case.dataset, case.id


def _check_fractions(fractions: Mapping[Split, float]) -> None:
    shown = {part.value: share for part, share in fractions.items()}
    finite = all(math.isfinite(share) and share > 0 for share in fractions.values())
    if not finite or not math.isclose(sum(fractions.values()), 1.0, abs_tol=1e-6):
        raise RecipeError(
            f"split fractions {shown} cannot be used; every share must be positive and together "
            "they must be 1; leave out a part that is not wanted"
        )


def _groups(cases: Sequence[Case]) -> dict[GroupKey, list[Case]]:
    twice = [
        f"id {name!r} of {dataset} appears {count} times"
        for (dataset, name), count in Counter(map(_identity, cases)).items()
        if count > 1
    ]
    if twice:
        raise DatasetError("cases to be split must have unique ids", twice)
    groups: dict[GroupKey, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.dataset, case.group].append(case)
    return dict(groups)


def _assign(
    order: Sequence[GroupKey],
    groups: Mapping[GroupKey, Sequence[Case]],
    fractions: Mapping[Split, float],
) -> dict[GroupKey, Split]:
    """Rarest label first, each group to the part that is fullest the least."""
    counts = {key: Counter(case.label or "" for case in groups[key]) for key in order}
    groups_with: dict[str, list[GroupKey]] = defaultdict(list)
    for key in order:
        for label in counts[key]:
            groups_with[label].append(key)
    filled: dict[Split, Counter[str]] = {part: Counter() for part in Split if part in fractions}
    part_of: dict[GroupKey, Split] = {}
    for label in sorted(groups_with, key=lambda name: (len(groups_with[name]), name)):
        waiting = [key for key in groups_with[label] if key not in part_of]
        for done, key in enumerate(waiting):
            missing = [part for part in filled if not filled[part][label]]
            must = len(waiting) - done <= len(missing)
            candidates = missing if missing and must else list(filled)
            part = _emptiest(candidates, label, counts[key], filled, fractions)
            part_of[key] = part
            filled[part].update(counts[key])
    return part_of


def _emptiest(
    candidates: Sequence[Split], label: str, added: Counter[str],
    filled: Mapping[Split, Counter[str]], fractions: Mapping[Split, float],
) -> Split:  # fmt: skip
    """The part least full of the label after taking half the group (Sainte-Lague's rule).

    Half a group keeps rounding fair to small and large parts alike.
    """

    def fullness(part: Split) -> tuple[float, float]:
        ours = filled[part][label] + added[label] / 2
        everything = filled[part].total() + added.total() / 2
        return ours / fractions[part], everything / fractions[part]

    return min(candidates, key=fullness)
