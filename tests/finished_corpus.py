"""A small finished corpus on disk, with rendered pictures, for tests of what comes after it."""

import random
from pathlib import Path

from skingpt_r1.case import Case
from skingpt_r1.data.overlap import fingerprint
from skingpt_r1.dermcot.corpus import CorpusRecord, Part, Provenance, corpus_path
from skingpt_r1.records import append_records
from skingpt_r1.render.layouts import write_cases
from skingpt_r1.runs import picture_name
from skingpt_r1.text.rubric import DIMENSIONS
from skingpt_r1.text.wording import urgency_of, write_narrative


def record_of(case: Case, folder: Path, part: Part, **changes: object) -> CorpusRecord:
    """A finished record of a case, with the narrative that its findings support."""
    assert case.label is not None
    rng = random.Random(case.id)
    text = write_narrative(
        case.findings, case.label, ("wart",), rng, case.context, urgency_of(case.label)
    ).text
    prints = [fingerprint(path) for path in case.images]
    scored = part == "candidate"
    values: dict[str, object] = {
        "id": case.id,
        "dataset": case.dataset,
        "group": case.group,
        "part": part,
        "images": tuple(picture_name(path, folder) for path in case.images),
        "sha256": tuple(item.file for item in prints),
        "phash": tuple(item.hash.tobytes().hex() for item in prints),
        "diagnosis": case.label,
        "split": None,
        "fitzpatrick": case.fitzpatrick,
        "tone": case.tone,
        "findings": dict(case.findings),
        "context": {"site": "back", "age": "40"},
        "narrative": text,
        "scores": dict.fromkeys(DIMENSIONS, 4.5) if scored else None,
        "evaluator": "dermeval:nano" if scored else None,
        "observe": Provenance(narrator="offline", seed=1),
        "reason": Provenance(narrator="offline", seed=1),
    }
    return CorpusRecord(**{**values, **changes})  # type: ignore[arg-type]


def make_corpus(
    folder: Path,
    train: int = 6,
    held_out: int = 4,
    *,
    dataset: str = "synthetic",
    slips: dict[int, str] | None = None,
    repeat_group: bool = False,
) -> Path:
    """Write `corpus.jsonl`, `held_out.jsonl` and their pictures.

    Args:
        folder: made when missing.
        train: number of training cases.
        held_out: number of held-out cases.
        dataset: what the records say of their source.
        slips: position among the held-out cases -> the mistake that its narrator made.
        repeat_group: the first held-out case is of the group of the first training case.
    """
    cases = write_cases(folder / "pictures", train + held_out, seed=5, size=64)
    records = [record_of(case, folder, "candidate", dataset=dataset) for case in cases[:train]]
    append_records(corpus_path(folder, "candidate"), records)
    held = []
    for place, case in enumerate(cases[train:]):
        slip = (slips or {}).get(place)
        reason = Provenance(narrator="offline", seed=1, simulated_slip=slip)
        group = cases[0].group if repeat_group and place == 0 else case.group
        held.append(
            record_of(case, folder, "held_out", dataset=dataset, reason=reason, group=group)
        )
    append_records(corpus_path(folder, "held_out"), held)
    return folder
