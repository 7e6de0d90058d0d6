import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter

from skingpt_r1.case import Case
from skingpt_r1.data.overlap import (
    KNOWN,
    MAX_DISTANCE,
    OverlapKind,
    _pairs,
    find_overlap,
    fingerprint,
    hamming,
    known_overlaps,
)
from skingpt_r1.errors import DatasetError


def scene(seed, size=(160, 120)):
    """A smooth random picture; another seed gives an unrelated one."""
    rough = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), np.uint8)
    return Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC)


def case(path, *paths, dataset="toy", group=None):
    name = Path(path).stem
    return Case(id=name, images=(path, *paths), dataset=dataset, group=group or name)


@pytest.fixture
def folder(tmp_path):
    """Two scenes, and copies of the first in several disguises."""
    first = scene(1)
    first.save(tmp_path / "first.png")
    scene(2).save(tmp_path / "other.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "first.png").read_bytes())
    first.save(tmp_path / "same.bmp")
    first.save(tmp_path / "jpeg.jpg", quality=40)
    first.resize((90, 68)).save(tmp_path / "small.png")
    ImageEnhance.Brightness(first).enhance(1.1).save(tmp_path / "bright.png")
    first.filter(ImageFilter.GaussianBlur(1)).save(tmp_path / "soft.png")
    return tmp_path


def test_kinds_within_one_set(folder):
    names = ["first.png", "copy.png", "same.bmp", "jpeg.jpg", "other.png"]
    found = find_overlap([case(folder / name) for name in names])
    kinds = {frozenset((o.image_a.name, o.image_b.name)): o.kind for o in found}
    assert kinds == {
        frozenset(("first.png", "copy.png")): OverlapKind.FILE,
        frozenset(("first.png", "same.bmp")): OverlapKind.PIXELS,
        frozenset(("copy.png", "same.bmp")): OverlapKind.PIXELS,
        frozenset(("first.png", "jpeg.jpg")): OverlapKind.NEAR,
        frozenset(("copy.png", "jpeg.jpg")): OverlapKind.NEAR,
        frozenset(("same.bmp", "jpeg.jpg")): OverlapKind.NEAR,
    }
    assert [o.kind for o in found] == sorted((o.kind for o in found), key=list(OverlapKind).index)


@pytest.mark.parametrize("name", ["jpeg.jpg", "small.png", "bright.png", "soft.png"])
def test_disguises_are_near_and_other_pictures_are_not(folder, name):
    first, disguised = fingerprint(folder / "first.png"), fingerprint(folder / name)
    other = fingerprint(folder / "other.png")
    distances = hamming(first.hash[None], np.stack([disguised.hash, other.hash]))[0]
    assert distances[0] <= MAX_DISTANCE < 80 < distances[1]


def test_between_two_sets(folder):
    left = [case(folder / "first.png"), case(folder / "other.png")]
    right = [case(folder / "copy.png", dataset="b"), case(folder / "jpeg.jpg", dataset="b")]
    found = find_overlap(left, right)
    assert [(o.case_a.id, o.case_b.id) for o in found] == [("first", "copy"), ("first", "jpeg")]
    assert not found[0].same_group
    assert find_overlap(left, []) == find_overlap([], right) == find_overlap([]) == []


def test_cases_of_two_sets_may_have_the_same_id(folder):
    (folder / "b").mkdir()
    (folder / "b" / "first.png").write_bytes((folder / "first.png").read_bytes())
    pair = [case(folder / "first.png")], [case(folder / "b" / "first.png", dataset="b")]
    assert pair[0][0].id == pair[1][0].id
    assert [o.kind for o in find_overlap(*pair)] == [OverlapKind.FILE]


def test_pictures_of_one_case_are_no_pair_and_groups_are_told(folder):
    assert find_overlap([case(folder / "first.png", folder / "copy.png")]) == []
    pair = [case(folder / "first.png", group="g"), case(folder / "copy.png", group="g")]
    assert [o.same_group for o in find_overlap(pair)] == [True]


def test_the_distance_is_a_choice(folder):
    cases = [case(folder / "first.png"), case(folder / "jpeg.jpg"), case(folder / "other.png")]
    assert len(find_overlap(cases, max_distance=256)) == 3
    near = find_overlap(cases)[0].distance
    assert find_overlap(cases, max_distance=max(0, near - 1)) == [] or near == 0
    with pytest.raises(ValueError, match=r"0\.\.256"):
        find_overlap(cases, max_distance=257)


def test_orientation_does_not_hide_a_copy(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = scene(1).transpose(Image.Transpose.ROTATE_90)
    turned.save(folder / "turned.png", exif=exif)
    found = find_overlap([case(folder / "first.png")], [case(folder / "turned.png")])
    assert [o.kind for o in found] == [OverlapKind.PIXELS]


def test_equal_bytes_in_another_shape_are_other_pixels(tmp_path):
    for name, size in (("wide.png", (60, 40)), ("high.png", (40, 60))):
        Image.new("RGB", size, (200, 120, 90)).save(tmp_path / name)
    found = find_overlap([case(tmp_path / "wide.png")], [case(tmp_path / "high.png")])
    assert [o.kind for o in found] == [OverlapKind.NEAR]


def test_unreadable_pictures_are_reported_together(folder):
    (folder / "bad.png").write_bytes(b"no picture")
    (folder / "empty.png").write_bytes(b"")
    cases = [case(folder / name) for name in ("bad.png", "first.png", "empty.png")]
    with pytest.raises(DatasetError, match="2 pictures cannot be compared") as caught:
        find_overlap(cases)
    assert len(caught.value.problems) == 2


def test_each_picture_is_read_once_and_progress_is_shown(folder):
    seen = []

    def track(paths):
        for path in paths:
            seen.append(path.name)
            yield path

    cases = [case(folder / "first.png"), case(folder / "other.png")]
    find_overlap(cases, cases, track=track)
    assert seen == ["first.png", "other.png"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 30), st.integers(0, 30), st.integers(0, 256))
def test_pairs_against_a_double_loop(seed, count_a, count_b, limit):
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 2**63, (n, 4)).astype(np.uint64) for n in (count_a, count_b))

    def distance(x, y):
        return sum(bin(int(p) ^ int(q)).count("1") for p, q in zip(x, y, strict=True))

    across = [(i, j) for i in range(count_a) for j in range(count_b)
              if distance(a[i], b[j]) <= limit]  # fmt: skip
    within = [(i, j) for i in range(count_a) for j in range(i + 1, count_a)
              if distance(a[i], a[j]) <= limit]  # fmt: skip
    assert list(_pairs(a, b, limit)) == across
    assert list(_pairs(a, None, limit)) == within


def test_blocks_join_without_a_seam():
    words = np.random.default_rng(0).integers(0, 2**63, (2500, 4)).astype(np.uint64)
    words[2400] = words[3]
    words[1024] = words[1023]
    start = time.process_time()
    assert list(_pairs(words, None, 40)) == [(3, 2400), (1023, 1024)]
    assert time.process_time() - start < 10


def test_known_overlaps():
    assert [k.datasets for k in known_overlaps(["skincot", "dermbench"])] == [
        frozenset({"skincot", "dermbench"})
    ]
    assert len(known_overlaps(["skincap", "ddi", "fitzpatrick17k"])) == 2
    assert known_overlaps(["ham10000", "pad_ufes_20"]) == []
    assert all(len(k.datasets) == 2 and k.what and k.advice and k.source for k in KNOWN)
