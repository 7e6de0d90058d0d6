"""Rendered cases on disk as HAM10000, PAD-UFES-20 and Fitzpatrick17k are: for their own readers.

File names, columns and codes are those of the published sets, so that everything that reads these
reads the rendered ones. Nothing in them is real: no patient, age, place or history is made up, such
cells are empty or say `unknown` as the sets do, and README.txt and `synthetic.json` in the folder
say what it is. Numbers have ten digits and more, which no published id has.

A layout gets the conditions that the set has a label for, taken in the way in which its pictures
are. A lesion may be photographed twice: findings, place and outline are the same, light and optics
are not. Such pictures are of one lesion and must never be split. `write_cases` writes PNG files
with `metadata.jsonl`, the layout of plain folders.
"""

import csv
import hashlib
import io
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count, cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from skingpt_r1.case import Case, SkinTone
from skingpt_r1.data import Reader, write_folder
from skingpt_r1.data.readers import fitzpatrick17k, ham10000, pad_ufes_20
from skingpt_r1.errors import DatasetError
from skingpt_r1.records import write_bytes_atomic
from skingpt_r1.render.camera import set_up_camera
from skingpt_r1.render.case import Plan, plan_case, render
from skingpt_r1.render.conditions import CONDITIONS
from skingpt_r1.runs import process_map
from skingpt_r1.text.taxonomy import Diagnosis, canonical, diagnoses, match_label

DATASET = "synthetic"
NOTE = "synthetic.json"
logger = logging.getLogger(__name__)


def write_picture(path: Path, index: int, seed: int, size: int) -> None:
    """Draw picture number `index` of a seed into a PNG file that appears when it is complete."""
    save_picture(path, plan_case(index, seed), size)


def save_picture(path: Path, plan: Plan, size: int) -> None:
    """Draw a plan into a PNG or JPEG file, by its name, that appears when it is complete."""
    image, partial = Image.fromarray(render(plan, size)), path.with_suffix(".partial")
    if path.suffix == ".png":
        image.save(partial, format="PNG")
    else:
        image.save(partial, format="JPEG", quality=95, subsampling=0)
    partial.replace(path)


def claim(folder: Path, **note: str | int) -> None:
    """Note in a folder how its pictures are made, or refuse a folder made otherwise.

    Raises:
        DatasetError: the folder was made with another seed, size or layout.
    """
    found = _note(folder)
    if found is None:
        write_bytes_atomic(folder / NOTE, f"{json.dumps(note)}\n".encode())
    elif found != note:
        raise DatasetError(
            f"folder {folder.name!r} holds rendered pictures made with {found}, asked for"
            f" {note}; give the same values, or another folder"
        )


def rendered_layout(folder: Path) -> str | None:
    """The data set in whose layout a folder of rendered pictures is written; None for others."""
    layout = (_note(folder) or {}).get("layout")
    return None if layout is None else str(layout)


def _note(folder: Path) -> dict[str, Any] | None:
    path = folder / NOTE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def iterate_cases(folder: Path, count: int, seed: int, size: int = 112) -> Iterator[Case]:
    """The cases that `write_cases` writes, without drawing anything."""
    for index in range(count):
        plan, name = plan_case(index, seed), f"synthetic-{seed}-{index:06d}"
        yield Case(
            id=name,
            images=(folder / "images" / f"{name}.png",),
            dataset=DATASET,
            group=name,
            label=plan.condition.name,
            fitzpatrick=plan.fitzpatrick,
            tone=SkinTone.from_fitzpatrick(plan.fitzpatrick),
            findings=plan.findings,
            attributes={**plan.attributes, "size_px": str(size)},
        )


def write_cases(
    folder: Path, count: int, seed: int, size: int = 112, *, workers: int = 1
) -> list[Case]:
    """Write the first `count` pictures of a seed and their metadata; give the cases.

    Pictures that are there already are kept, so a stopped run is continued by the same call, and a
    second call writes byte-identical files. `metadata.jsonl` appears when every picture is there.
    More than one worker starts fresh Python processes, so that a script needs the usual
    `if __name__ == "__main__"` guard.

    Raises:
        DatasetError: the count or size cannot work, the folder holds pictures of another seed or
            size, or cannot be written.
    """
    if count < 1 or size < 32 or workers < 1:
        raise DatasetError(
            f"cannot render count={count}, size={size}, workers={workers}; count and workers are"
            " at least 1, size at least 32"
        )
    try:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        claim(folder, seed=seed, size=size)
        cases = list(iterate_cases(folder, count, seed, size))
        _write_pictures(cases, seed, size, workers)
        write_folder(folder, cases)
    except OSError as error:
        raise DatasetError(f"cannot write rendered cases: {error}") from error
    return cases


def _write_pictures(cases: list[Case], seed: int, size: int, workers: int) -> None:
    missing = [i for i, case in enumerate(cases) if not case.images[0].exists()]
    logger.info("rendering %d of %d pictures", len(missing), len(cases))
    paths = [cases[i].images[0] for i in missing]
    draw = partial(write_picture, seed=seed, size=size)
    with process_map(1 if len(missing) < 2 * workers else workers, chunk=32) as run:
        for _ in run(draw, paths, missing):
            pass


# Random streams of a lesion beside those of its first picture; see `render.py`.
_SECOND, _PATIENT = 2, 3


class Shot(NamedTuple):
    """One picture of a lesion."""

    seed: int  # of the rendering
    lesion: int  # its number among the rendered pictures of the seed
    picture: int  # 0 for the first of the lesion, 1 for the second
    label: str  # what the data set calls the condition
    plan: Plan


def make_shots(
    labels: Sequence[str], modality: str, number: int, seed: int, *, twice: float = 0.0
) -> list[Shot]:
    """The first pictures of a seed that fit a data set's labels; its conditions take turns.

    `modality` is one of `camera.MODALITIES`, `twice` the share of lesions photographed twice.

    Raises:
        DatasetError: the number or the seed cannot work.
    """
    if number < 1 or seed < 0:
        raise DatasetError(f"cannot render count={number}, seed={seed}; at least 1 and 0")
    named = [(place, match_label(item.name, labels)) for place, item in enumerate(CONDITIONS)]
    turns = cycle([_lesions(place, label, modality, seed) for place, label in named if label])
    shots: list[Shot] = []
    while len(shots) < number:
        shots += _of_lesion(next(next(turns)), twice)
    return shots[:number]


def patients_of(shots: Sequence[Shot]) -> dict[int, int]:
    """Lesion -> number of its patient; some patients have two lesions, on skin of one type."""
    found: dict[int, int] = {}
    single: dict[int, int] = {}  # skin type -> the last patient of one lesion
    number = 0
    for shot in shots:
        if shot.picture:
            continue
        scale = shot.plan.fitzpatrick
        rng = np.random.default_rng((shot.seed, shot.lesion, _PATIENT))
        if scale in single and rng.random() < 0.5:
            found[shot.lesion] = single.pop(scale)
            continue
        found[shot.lesion] = single[scale] = number
        number += 1
    return found


def _lesions(place: int, label: str, modality: str, seed: int) -> Iterator[Shot]:
    """The lesions of one condition that are seen in this way; they do not end."""
    for index in count(place, len(CONDITIONS)):
        plan = plan_case(index, seed)
        if plan.camera.modality == modality:
            yield Shot(seed, index, 0, label, plan)


def _of_lesion(first: Shot, twice: float) -> Iterator[Shot]:
    yield first
    rng = np.random.default_rng((first.seed, first.lesion, _SECOND))
    if rng.random() < twice:
        yield first._replace(picture=1, plan=_taken_again(first.plan, rng))


def _taken_again(plan: Plan, rng: np.random.Generator) -> Plan:
    """The same lesion under another light, by another camera of the same kind."""
    old, new = plan.camera, set_up_camera(plan.camera.modality, rng)
    # What decides where lesions are, and the skin itself, stay as they are.
    camera = replace(
        new, drape=old.drape, ruler=old.ruler, vignette=old.vignette, texture=old.texture
    )
    return replace(plan, camera=camera)


README = """\
These pictures are rendered by skingpt_r1; they are not photographs, and this is not {title}.
The folder has the layout of {title}, so that programs made for it can be tried.
No person was seen; nothing learned or measured here says anything about patients.
For research, not for diagnosis.
"""
TWICE = 0.25  # share of the lesions with a second picture, where the real set has such
PAD_COLUMNS = (
    "patient_id", "lesion_id", "smoke", "drink", "background_father", "background_mother", "age",
    "pesticide", "gender", "skin_cancer_history", "cancer_history", "has_piped_water",
    "has_sewage_system", "fitspatrick", "region", "diameter_1", "diameter_2", "diagnostic", "itch",
    "grew", "hurt", "changed", "bleed", "elevation", "img_id", "biopsed",
)  # fmt: skip
_FLAT = frozenset({"macule", "patch"})
_NEITHER = frozenset({"ring"})  # a shape; its profile is not a finding

Row = Mapping[str, str]


def write_ham10000(folder: Path, count: int, seed: int, size: int = 112) -> list[Case]:
    """Rendered dermoscopic pictures in the layout of HAM10000; the cases as its reader gives them.

    Five of the seven classes are there: no rendered condition is a dermatofibroma or a vascular
    lesion. A quarter of the lesions has two pictures. Pictures that exist are kept, so that a
    stopped call is continued by the same one. Different seeds give different ids.

    Raises:
        DatasetError: the values cannot work, the folder holds other pictures, or cannot be
            written.
    """
    codes = {label: code for code, label in ham10000.LABELS.items()}
    shots = make_shots(tuple(codes), "dermoscope", count, seed, twice=TWICE)
    rows, plans = [], {}
    for shot in shots:
        name = f"ISIC_{_number(seed, 2 * shot.lesion + shot.picture)}"
        plans[f"HAM10000_images_part_{_part(shot, 2)}/{name}.jpg"] = shot.plan
        rows.append({
            "lesion_id": f"HAM_{_number(seed, shot.lesion)}", "image_id": name,
            "dx": codes[shot.label], "dx_type": "", "age": "", "sex": "unknown",
            "localization": "unknown", "dataset": "rendered",
        })  # fmt: skip
    return _write(folder, ham10000.READER, "HAM10000_metadata.csv", rows, plans, seed, size)


def write_pad_ufes_20(folder: Path, count: int, seed: int, size: int = 112) -> list[Case]:
    """Rendered phone pictures in the layout of PAD-UFES-20; the cases as its reader gives them.

    Five of the six classes are there: no rendered condition is a squamous cell carcinoma. Some
    patients have two lesions, some lesions two pictures. Known are the skin type, whether the
    lesion is elevated, and that nothing bleeds.

    Raises:
        DatasetError: see `write_ham10000`.
    """
    codes = {label: code for code, label in pad_ufes_20.LABELS.items()}
    shots = make_shots(tuple(codes), "phone", count, seed, twice=TWICE)
    patients = patients_of(shots)
    rows, plans = [], {}
    for shot in shots:
        patient, lesion = (_number(seed, n) for n in (patients[shot.lesion], shot.lesion))
        name = f"PAT_{patient}_{lesion}_{shot.picture + 1}.png"
        plans[f"images/imgs_part_{_part(shot, 3)}/{name}"] = shot.plan
        known = {
            "patient_id": f"PAT_{patient}",
            "lesion_id": lesion,
            "fitspatrick": f"{shot.plan.fitzpatrick}.0",
            "diagnostic": codes[shot.label],
            **dict.fromkeys(("itch", "grew", "hurt", "changed"), "UNK"),
            "bleed": "False",
            "elevation": _elevation(shot),
            "img_id": name,
            "biopsed": "False",
        }
        rows.append({column: known.get(column, "") for column in PAD_COLUMNS})
    return _write(folder, pad_ufes_20.READER, "metadata.csv", rows, plans, seed, size)


def write_fitzpatrick17k(folder: Path, count: int, seed: int, size: int = 112) -> list[Case]:
    """Rendered clinical pictures in the layout of Fitzpatrick17k; the cases as its reader does.

    Twelve of the 114 labels and five of the nine parts are there; four rendered conditions (tinea
    corporis, pityriasis versicolor, molluscum contagiosum, herpes zoster) have no label in the set
    and are left out. One picture of each lesion.

    Raises:
        DatasetError: see `write_ham10000`.
    """
    rows, plans = [], {}
    for shot in make_shots(fitzpatrick17k.LABELS, "clinic photo", count, seed):
        source = f"rendered:{seed}/{shot.lesion}"
        name = hashlib.md5(source.encode(), usedforsecurity=False).hexdigest()
        plans[f"images/{name}.jpg"] = shot.plan
        entry = _entry(shot.label)
        rows.append({
            "md5hash": name, "fitzpatrick_scale": str(shot.plan.fitzpatrick),
            "fitzpatrick_centaur": "-1", "label": shot.label,
            "nine_partition_label": entry.nine_partition,
            "three_partition_label": entry.three_partition, "qc": "", "url": source,
            "url_alphanum": re.sub(r"\W", "", source) + ".jpg",
        })  # fmt: skip
    return _write(folder, fitzpatrick17k.READER, "fitzpatrick17k.csv", rows, plans, seed, size)


LAYOUTS: Mapping[str, Callable[[Path, int, int, int], list[Case]]] = {
    ham10000.READER.name: write_ham10000,
    pad_ufes_20.READER.name: write_pad_ufes_20,
    fitzpatrick17k.READER.name: write_fitzpatrick17k,
}


def _number(seed: int, place: int) -> str:
    """A number of the seed and of nothing else, longer than any that is published."""
    return f"{seed:04d}{place:06d}"


def _part(shot: Shot, parts: int) -> int:
    """The folder of a lesion, 1 to `parts`; every condition is in each."""
    return 1 + shot.lesion // len(CONDITIONS) % parts


def _elevation(shot: Shot) -> str:
    morphology = shot.plan.findings["morphology"]
    return "UNK" if morphology in _NEITHER else str(morphology not in _FLAT)


def _entry(label: str) -> Diagnosis:
    name = canonical(label)
    assert name is not None, "every label of the set is in the taxonomy"
    return diagnoses()[name]


def _write(
    folder: Path,
    reader: Reader,
    table: str,
    rows: Sequence[Row],
    plans: Mapping[str, Plan],
    seed: int,
    size: int,
) -> list[Case]:
    """Pictures first, the table when all are there; the cases as the reader gives them."""
    if size < 32:
        raise DatasetError(f"cannot render size={size}; at least 32")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / table).exists() and rendered_layout(folder) is None:
            raise DatasetError(
                f"{folder} holds a {table} that is not of rendered pictures; give another folder"
            )
        claim(folder, layout=reader.name, seed=seed, size=size)
        readme = README.format(title=reader.title)
        (folder / "README.txt").write_text(readme, encoding="utf-8")
        for name, plan in plans.items():
            path = folder / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                save_picture(path, plan, size)
    except OSError as error:
        raise DatasetError(f"cannot write rendered cases: {error}") from error
    write_bytes_atomic(folder / table, _csv(rows).encode())
    return reader.load(folder)


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
