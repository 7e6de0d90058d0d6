"""Rendered cases as a folder of PNG files with `metadata.jsonl`, in the layout of plain folders."""

import json
import logging
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from PIL import Image

from skingpt_r1.case import Case, SkinTone
from skingpt_r1.data import write_folder
from skingpt_r1.errors import DatasetError
from skingpt_r1.records import write_bytes_atomic
from skingpt_r1.render.case import Plan, plan_case, render

DATASET = "synthetic"
NOTE = "synthetic.json"
logger = logging.getLogger(__name__)


def _case(folder: Path, index: int, seed: int, size: int) -> Case:
    plan, name = plan_case(index, seed), f"synthetic-{seed}-{index:06d}"
    return Case(
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
    path = folder / NOTE
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != note:
            raise DatasetError(
                f"folder {folder.name!r} holds rendered pictures made with {found}, asked for"
                f" {note}; give the same values, or another folder"
            )
        return
    write_bytes_atomic(path, f"{json.dumps(note)}\n".encode())


def rendered_layout(folder: Path) -> str | None:
    """The data set in whose layout a folder of rendered pictures is written; None for others."""
    path = folder / NOTE
    if not path.is_file():
        return None
    layout = json.loads(path.read_text(encoding="utf-8")).get("layout")
    return None if layout is None else str(layout)


def iterate_cases(folder: Path, count: int, seed: int, size: int = 112) -> Iterator[Case]:
    """The cases that `write_cases` writes, without drawing anything."""
    for index in range(count):
        yield _case(folder, index, seed, size)


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
    seeds, sizes = [seed] * len(missing), [size] * len(missing)
    if workers == 1 or len(missing) < 2 * workers:
        for path, index in zip(paths, missing, strict=True):
            write_picture(path, index, seed, size)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        list(pool.map(write_picture, paths, missing, seeds, sizes, chunksize=32))
