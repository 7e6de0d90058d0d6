"""How far verifier and gate can be trusted: tables with intervals by picture, and controls.

The claims are made up from what is known of the pictures: of each known slot the true value, and
one of the others by chance. The controls give the same claims another picture, or a grey one.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from skingpt_r1.errors import DatasetError
from skingpt_r1.evidence.gate import measure_picture, picture_problem
from skingpt_r1.evidence.verify import (
    LOCAL_SLOTS,
    ReaderVerifier,
    Region,
    blocks,
    cover,
    rim_colour,
)
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.intervals import (
    Bootstrap,
    Floats,
    Integers,
    bootstrap_share,
    bootstrap_statistic,
    calibration_error,
)

Facts = Sequence[Mapping[str, str]]
OWN, OTHER, GREY = "own picture", "another picture", "grey picture"


def claim_rows(
    verifier: ReaderVerifier,
    pictures: Sequence[Image.Image],
    facts: Facts,
    *,
    slots: Sequence[str],
    boot: Bootstrap,
) -> list[ResultRow]:
    """Table `claims`: telling true claims from false ones, and calibration, with two controls.

    Args:
        verifier: what is measured.
        pictures: none of which the reader was taught on.
        facts: of each picture, slot -> value.
        slots: that claims are made about.
        boot: of the intervals, by picture.

    Raises:
        DatasetError: fewer than two pictures, or no known slot.
    """
    if len(pictures) < 2 or not any(slot in known for known in facts for slot in slots):
        raise DatasetError(f"{len(pictures)} pictures without known findings cannot be measured")
    shown = {
        OWN: list(pictures),
        OTHER: [*pictures[1:], pictures[0]],
        GREY: [Image.new("RGB", picture.size, (128, 128, 128)) for picture in pictures],
    }
    rows: list[ResultRow] = []
    for name, seen in shown.items():
        chances = verifier.read_all(seen)
        truth, claimed, owner = _claims(verifier, chances, facts, slots, boot.seed)
        rows += _rows(name, "AUC of true against false claims", truth, claimed, owner, boot)
        if name != OWN:
            continue
        error = calibration_error(claimed, truth)
        rows.append(
            ResultRow(table="claims", system=name, metric="calibration error", value=error,
                      low=None, high=None, n=len(pictures))
        )  # fmt: skip
        for slot in slots:
            part = _claims(verifier, chances, facts, [slot], boot.seed)
            rows += _rows(name, f"AUC, {slot}", *part, boot)
    return rows


def _claims(
    verifier: ReaderVerifier,
    chances: Mapping[str, torch.Tensor],
    facts: Facts,
    slots: Sequence[str],
    seed: int,
) -> tuple[Integers, Floats, Integers]:
    """`[claims]` each: whether it is true, how likely it is said to be, and of which picture."""
    rng = np.random.default_rng(seed)
    truth, claimed, owner = [], [], []
    for slot in slots:
        values = verifier.reader.config.slots[slot]
        likely = {
            value: verifier.reader.claim_probability(slot, value, chances[slot]) for value in values
        }
        for row, known in enumerate(facts):
            if slot not in known:
                continue
            wrong = rng.choice([value for value in values if value != known[slot]])
            truth += [1, 0]
            claimed += [float(likely[known[slot]][row]), float(likely[str(wrong)][row])]
            owner += [row, row]
    return np.array(truth), np.array(claimed), np.array(owner)


def _rows(
    system: str, metric: str, truth: Integers, claimed: Floats, owner: Integers, boot: Bootstrap
) -> list[ResultRow]:
    found = bootstrap_statistic(
        lambda rows: float(roc_auc_score(truth[rows], claimed[rows])),
        len(truth),
        owner.tolist(),
        seed=boot.seed,
        resamples=min(boot.resamples, 500),
    )
    return [found.row("claims", system, metric)]


def region_rows(
    verifier: ReaderVerifier, pictures: Sequence[Image.Image], facts: Facts, boot: Bootstrap
) -> list[ResultRow]:
    """Table `regions`: the deletion test, with another paint than the one that found the region.

    Of every true claim about something in one place: does covering its region lower its probability
    more than covering an equal region by chance?
    """
    rng = np.random.default_rng(boot.seed)
    places, readable = list(blocks()), verifier.reader.config.slots.keys()
    hits: list[float] = []
    owner: list[int] = []
    for number, (picture, known) in enumerate(zip(pictures, facts, strict=True)):
        slots = [slot for slot in known if slot in LOCAL_SLOTS & readable]
        covered = verifier.read_all([picture, *(cover(picture, place) for place in places)])
        chosen = {}
        for slot in slots:
            there = verifier.reader.claim_probability(slot, known[slot], covered[slot])
            chosen[slot] = places[int(torch.argmin(there[1:]))]
        by_chance = places[int(rng.integers(len(places)))]
        tried = [*(chosen[slot] for slot in slots), by_chance]
        again = verifier.read_all([_painted(picture, place) for place in tried])
        for place, slot in enumerate(slots):
            there = verifier.reader.claim_probability(slot, known[slot], again[slot])
            if chosen[slot] != by_chance:
                hits.append(float(there[place] < there[-1]))
                owner.append(number)
    found = bootstrap_share(hits, owner, **boot._asdict())
    return [found.row("regions", verifier.name, "own region outweighs one by chance")]


def _painted(picture: Image.Image, region: Region) -> Image.Image:
    return cover(picture, region, rim_colour)


def gate_rows(
    skin: Sequence[Image.Image], others: Mapping[str, Sequence[Image.Image]], boot: Bootstrap
) -> list[ResultRow]:
    """Table `gate`: share of other pictures refused, kind by kind, and of skin passed."""
    refused = {kind: [_is_refused(picture) for picture in seen] for kind, seen in others.items()}
    shares = {"other pictures refused": [hit for hits in refused.values() for hit in hits]}
    shares |= {f"{kind} refused": hits for kind, hits in refused.items()}
    shares["skin passed"] = [1 - _is_refused(picture) for picture in skin]
    return [
        bootstrap_share(np.array(hits, np.float64), **boot._asdict()).row("gate", "gate", metric)
        for metric, hits in shares.items()
    ]


def _is_refused(picture: Image.Image) -> int:
    return int(picture_problem(measure_picture(picture)) is not None)
