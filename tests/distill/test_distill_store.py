"""The feature store: whole, torn, changed, unwritable."""

import os

import pytest
import torch

from skingpt_r1.distill.store import FeatureStore, write_store
from skingpt_r1.errors import FeatureStoreError

IDS = [f"case-{number}" for number in range(7)]
KEY = {"backbone": {"name": "tiny", "revision": "abc"}, "features": {"dtype": "bf16"}}


def _features(index):
    generator = torch.Generator().manual_seed(index)
    return {
        "hidden": torch.randn(index % 4, 3, generator=generator).bfloat16(),
        "targets": torch.randint(9, (index % 4,), generator=generator),
        "pixels": torch.randint(255, (5 + index,), dtype=torch.uint8, generator=generator),
    }


class Pass:
    """Counts the shards that are computed; may stop like a killed process."""

    def __init__(self, stop_after=None):
        self.shards = []
        self.stop_after = stop_after

    def __call__(self, rows):
        if len(self.shards) == self.stop_after:
            raise KeyboardInterrupt
        self.shards.append(list(rows))
        return [_features(row) for row in rows]


def _write(folder, compute, key=KEY, ids=IDS):
    write_store(folder, key, ids, compute, shard_cases=3)
    return FeatureStore(folder)


def test_what_is_written_is_read(tmp_path):
    seen = []
    write_store(tmp_path, KEY, IDS, Pass(), shard_cases=3, progress=lambda *done: seen.append(done))
    store = FeatureStore(tmp_path)
    assert seen == [(3, 7), (6, 7), (7, 7)]
    assert store.ids == IDS
    assert store.key == KEY
    for index, stored in enumerate(store):
        for name, tensor in _features(index).items():
            assert stored[name].dtype == tensor.dtype
            assert torch.equal(stored[name], tensor)


def test_a_stopped_pass_goes_on_where_it_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path, Pass(stop_after=1))
    with pytest.raises(FeatureStoreError, match=r"2 of 3 shards"):
        FeatureStore(tmp_path)
    second = Pass()
    assert len(_write(tmp_path, second)) == 7
    assert second.shards == [[3, 4, 5], [6]]
    third = Pass()
    _write(tmp_path, third)
    assert third.shards == []


def test_a_torn_shard_is_computed_again(tmp_path):
    _write(tmp_path, Pass())
    path = tmp_path / "shard-00001.safetensors"
    whole = path.read_bytes()
    for cut in (len(whole) - 1, len(whole) // 2, 9, 0):
        path.write_bytes(whole[:cut])
        again = Pass()
        _write(tmp_path, again)
        assert again.shards == [[3, 4, 5]]
        assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("key", "ids", "words"),
    [
        (KEY | {"backbone": {"revision": "x"}}, IDS, "backbone.revision was 'abc', is 'x'"),
        (KEY | {"features": {"dtype": "fp32"}}, IDS, "features.dtype was 'bf16', is 'fp32'"),
        (KEY | {"manifest": "123"}, IDS, "manifest was None, is '123'"),
        ({"backbone": KEY["backbone"]}, IDS, "features was {'dtype': 'bf16'}, is None"),
        (KEY, [*IDS, "new"], "ids"),
        (KEY, IDS[::-1], "ids"),
    ],
)  # fmt: skip
def test_a_changed_key_is_refused_by_name(tmp_path, key, ids, words):
    _write(tmp_path, Pass())
    with pytest.raises(FeatureStoreError) as error:
        _write(tmp_path, Pass(), key, ids)
    assert words in str(error.value)


def test_another_size_of_shards_is_refused(tmp_path):
    _write(tmp_path, Pass())
    with pytest.raises(FeatureStoreError, match="shard_cases was 3, is 4"):
        write_store(tmp_path, KEY, IDS, Pass(), shard_cases=4)


def test_an_index_of_another_format_is_refused(tmp_path):
    _write(tmp_path, Pass())
    path = tmp_path / "index.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(FeatureStoreError, match="has format 2, this version reads 1"):
        FeatureStore(tmp_path)


@pytest.mark.parametrize(
    ("key", "ids"), [(KEY | {"manifest": "2"}, IDS), (KEY, IDS[::-1]), (KEY, [*IDS[1:], "new"])]
)
def test_a_shard_of_another_store_is_not_taken(tmp_path, key, ids):
    _write(tmp_path / "one", Pass())
    _write(tmp_path / "two", Pass(), key, ids)
    name = "shard-00000.safetensors"
    (tmp_path / "two" / name).write_bytes((tmp_path / "one" / name).read_bytes())
    with pytest.raises(FeatureStoreError, match="not complete"):
        FeatureStore(tmp_path / "two")


def test_a_missing_store_and_a_file_in_the_way_are_errors(tmp_path):
    with pytest.raises(FeatureStoreError, match="holds no feature store"):
        FeatureStore(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(FeatureStoreError, match="cannot be written"):
        _write(tmp_path / "file" / "store", Pass())


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FeatureStoreError, match="cannot be written"):
        _write(tmp_path, Pass())


def test_a_disk_without_space_is_noticed_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "skingpt_r1.distill.store.shutil.disk_usage", lambda _: _Usage(free=10), raising=True
    )
    compute = Pass()
    with pytest.raises(FeatureStoreError, match=r"the disk has 0\.00 GB left"):
        _write(tmp_path, compute)
    assert len(compute.shards) == 1


class _Usage:
    def __init__(self, free):
        self.free = free


def test_a_disk_that_fills_up_is_an_error_and_keeps_what_is_complete(tmp_path, monkeypatch):
    import skingpt_r1.distill.store as module

    real = module.write_bytes_atomic

    def full(path, content):
        if path.name == "shard-00001.safetensors":
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(module, "write_bytes_atomic", full)
    with pytest.raises(FeatureStoreError, match="No space left on device"):
        _write(tmp_path, Pass())
    monkeypatch.undo()
    again = Pass()
    _write(tmp_path, again)
    assert again.shards == [[3, 4, 5], [6]]


def test_processes_share_the_shards(tmp_path):
    first, second = Pass(), Pass()
    write_store(tmp_path, KEY, IDS, first, shard_cases=3, part=(0, 2))
    write_store(tmp_path, KEY, IDS, second, shard_cases=3, part=(1, 2))
    assert (first.shards, second.shards) == ([[0, 1, 2], [6]], [[3, 4, 5]])
    assert len(FeatureStore(tmp_path)) == 7


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_features_that_are_not_finite_are_refused_with_their_case(value, tmp_path):
    def compute(rows):
        features = [_features(row) for row in rows]
        for row, case in zip(rows, features, strict=True):
            if row == 5:
                case["hidden"][0, 1] = value
        return features

    store = _write(tmp_path, compute)
    assert len(store[4]["hidden"]) == 0
    for _ in range(2):
        with pytest.raises(FeatureStoreError, match=r"shard-00001.* for case case-5: hidden"):
            store[5]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"{", b'{"format": 1}', b"\xff", b'{"format": NaN}', b'{"a":' * 10_000,
     b'{"format": 1, "key": {}, "ids": "abc", "shard_cases": 3}',
     b'{"format": 1, "key": {}, "ids": ["a"], "shard_cases": 0}',
     b'{"format": 1, "key": [], "ids": ["a"], "shard_cases": 3}'],
)  # fmt: skip
def test_an_index_of_the_wrong_kind(content, tmp_path):
    _write(tmp_path, Pass())
    (tmp_path / "index.json").write_bytes(content)
    with pytest.raises(FeatureStoreError, match=r"index\.json"):
        FeatureStore(tmp_path)
    with pytest.raises(FeatureStoreError, match=r"index\.json"):
        _write(tmp_path, Pass())
