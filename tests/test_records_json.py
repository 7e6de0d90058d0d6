"""One reader of small JSON files: what it reads, and one error for everything else."""

import time
from pathlib import Path

import pytest

from skingpt_r1.errors import CheckpointError, RecordError
from skingpt_r1.records import read_json

BAD_JSON = {
    "empty": (b"", "not JSON"),
    "list": (b"[]", "holds a JSON list; an object"),
    "null": (b"null", "holds a JSON NoneType"),
    "string": (b'"x"', "holds a JSON str"),
    "number": (b"3", "holds a JSON int"),
    "cut": (b'{"a": {"b": ', "not JSON"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not JSON"),
    "bad UTF-8": (b'{"a": "\xff"}', "not JSON"),
    "byte-order mark": (b'\xef\xbb\xbf{"a": 1}', "byte-order mark"),
    "deep objects": (b'{"a":' * 100_000, "recursion limit"),
    "deep lists": (b'{"a":' + b"[" * 100_000, "recursion limit"),
    "5,000 digits": (b'{"a": ' + b"9" * 5000 + b"}", "number out of range"),
    "half a pair": (rb'{"a": "\ud800"}', "not JSON"),
    "NaN": (b'{"a": NaN}', "not JSON"),
    "Infinity": (b'{"a": -Infinity}', "not JSON"),
    "key twice": (b'{"b": {"a": 1, "a": 2}}', "the key 'a' stands twice"),
    "more behind it": (b"{} {}", "not JSON"),
    "single quotes": (b"{'a': 1}", "not JSON"),
    "comment": (b'{"a": 1} // one', "not JSON"),
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_json_of_the_wrong_kind(kind: str, tmp_path: Path) -> None:
    content, message = BAD_JSON[kind]
    path = tmp_path / "some.json"
    path.write_bytes(content)
    for error in (RecordError, CheckpointError):
        with pytest.raises(error, match=message) as caught:
            read_json(path, error)
        assert str(path) in str(caught.value)
        assert len(str(caught.value)) < 1000


def test_json_that_is_read(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text('\n {"a": [1, 2.5, null, "\\ud83d\\ude00 ü"], "b": {"a": true}}\r\n', "utf-8")
    assert read_json(path) == {"a": [1, 2.5, None, "😀 ü"], "b": {"a": True}}


def test_absent_and_huge_files(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"cannot read .*some\.json"):
        read_json(tmp_path / "some.json")
    with pytest.raises(RecordError, match="cannot read"):
        read_json(tmp_path)
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(1 << 40)  # takes no disk
    with pytest.raises(RecordError, match="more than 64 MiB"):
        read_json(tmp_path / "huge.json")


def test_many_keys_of_which_one_stands_twice_are_read_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    keys = ",".join(f'"{number}":0' for number in range(100_000))
    path.write_text(f'{{{keys},"99999":1}}')
    start = time.monotonic()
    with pytest.raises(RecordError, match="'99999' stands twice"):
        read_json(path)
    assert time.monotonic() - start < 10
