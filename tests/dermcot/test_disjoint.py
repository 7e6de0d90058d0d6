"""What training and certified cases may not share, and the store of fingerprints."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finished_corpus import make_corpus
from skingpt_r1.case import Case
from skingpt_r1.data.overlap import fingerprint
from skingpt_r1.dermcot.corpus import read_corpus
from skingpt_r1.dermcot.disjoint import Compared, SharedPart, compared, find_shared
from skingpt_r1.errors import DatasetError
from skingpt_r1.records import sha256_file


def picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Blocks, so that a small change of brightness leaves the perceptual hash as it is.
    blocks = np.random.default_rng(seed).integers(0, 200, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(blocks.repeat(8, 0).repeat(8, 1)).save(path)
    return path


def item(name: str, *paths: Path, group: str | None = None, dataset: str = "folder") -> Compared:
    case = Case(id=name, images=paths, dataset=dataset, group=group or name)
    return Compared(case, tuple(sha256_file(path) for path in paths))


def leaks(tmp_path: Path, training: list[Compared], certified: list[Compared]) -> list[SharedPart]:
    return find_shared(training, certified, store=tmp_path / "prints.jsonl", max_distance=40)


def test_disjoint_cases(tmp_path: Path) -> None:
    training = [item("a", picture(tmp_path / "a.png", 1))]
    assert leaks(tmp_path, training, [item("b", picture(tmp_path / "b.png", 2))]) == []
    assert leaks(tmp_path, training, []) == []


def test_every_kind_of_leak(tmp_path: Path) -> None:
    a, b = picture(tmp_path / "a.png", 1), picture(tmp_path / "b.png", 2)
    copy = Path(shutil.copy(a, tmp_path / "copy.png"))
    pixels = tmp_path / "pixels.bmp"
    near = tmp_path / "near.png"
    with Image.open(a) as image:
        image.save(pixels)
        image.point(lambda value: min(value + 3, 255)).save(near)
    training = [item("a", a, group="g")]
    cases = {
        "same id": item("a", b),
        "same group": item("x", b, group="g"),
        "identical file": item("x", copy),
        "identical pixels": item("x", pixels),
        "near-identical": item("x", b, near),
    }
    for kind, certified in cases.items():
        (leak,) = leaks(tmp_path, training, [certified])
        assert leak.kind == kind
        assert repr(certified.case.id) in leak.told()
    assert leaks(tmp_path, training, [item("x", b, group="g", dataset="other")]) == []


def test_every_training_case_is_compared_with_every_certified_one(tmp_path: Path) -> None:
    a, b, c, d, e = (picture(tmp_path / f"{seed}.png", seed) for seed in range(5))
    training = [item("a", a, group="g"), item("b", b, group="h"), item("c", c, group="g")]
    for group, owners in (("g", {"a", "c"}), ("h", {"b"})):
        found = leaks(tmp_path, training, [item("x", d), item("y", e, group=group)])
        assert [(leak.kind, leak.certified) for leak in found] == [("same group", "y")]
        assert found[0].training in owners
    assert [leak.kind for leak in leaks(tmp_path, training, [item("b", d)])] == ["same id"]


def test_an_equal_id_in_another_data_set_hides_no_picture(tmp_path: Path) -> None:
    a = picture(tmp_path / "a.png", 1)
    copy = Path(shutil.copy(a, tmp_path / "copy.png"))
    found = leaks(tmp_path, [item("a", a)], [item("a", copy, dataset="other")])
    assert {leak.kind for leak in found} == {"same id", "identical file"}


def test_changed_and_missing_pictures_are_told_together(tmp_path: Path) -> None:
    first, second = (
        item(name, picture(tmp_path / f"{name}.png", seed)) for seed, name in enumerate("ab")
    )
    picture(first.case.images[0], 9)
    second.case.images[0].unlink()
    with pytest.raises(DatasetError, match="2 pictures are missing or have changed") as caught:
        leaks(tmp_path, [first], [second])
    assert "a.png is another file now" in caught.value.problems[0]
    assert "no picture b.png" in caught.value.problems[1]


def test_unreadable_pictures_are_told_together(tmp_path: Path) -> None:
    broken = []
    for name in "ab":
        path = tmp_path / f"{name}.png"
        path.write_bytes(b"\x89PNG\r\n\x1a\nrest" + name.encode())
        broken.append(item(name, path))
    with pytest.raises(DatasetError, match="2 pictures cannot be compared"):
        leaks(tmp_path, broken[:1], broken[1:])


def test_store_is_used_and_equals_reading_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = make_corpus(tmp_path / "c", train=4, held_out=3)
    training = [compared(record, corpus) for record in read_corpus(corpus)]
    certified = [compared(record, corpus) for record in read_corpus(corpus, "held_out")]
    assert leaks(tmp_path, training, certified) == []
    store = tmp_path / "prints.jsonl"
    before = store.read_bytes()
    assert len(before.splitlines()) == 7
    direct = fingerprint(training[0].case.images[0])
    assert direct.hash.tobytes().hex() in before.decode()

    def refuse(path: Path) -> None:
        raise AssertionError(f"{path} is read again")

    with monkeypatch.context() as patch:
        patch.setattr("skingpt_r1.dermcot.disjoint.fingerprint", refuse)
        assert leaks(tmp_path, training, certified) == []
    assert store.read_bytes() == before
    store.write_bytes(before[:-20])  # a killed run
    assert leaks(tmp_path, training, certified) == []
    assert store.read_bytes() == before


def test_processes_give_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skingpt_r1.dermcot.disjoint._BATCH", 2)
    items = [item(str(seed), picture(tmp_path / f"{seed}.png", seed)) for seed in range(6)]
    told: list[tuple[int, int]] = []
    for name, workers in (("one", 1), ("two", 2)):
        find_shared(
            items[:3],
            items[3:],
            store=tmp_path / name,
            max_distance=40,
            workers=workers,
            progress=lambda done, total: told.append((done, total)),
        )
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert told == [(2, 6), (4, 6), (6, 6)] * 2
