"""Record files read one record at a time, and mended without being read."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from skingpt_r1.errors import RecordError
from skingpt_r1.records import (
    append_record,
    iterate_places,
    iterate_records,
    mend_records,
    read_json,
    read_records,
    record_at,
    write_json_atomic,
)


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    number: int
    text: str


def write(path, texts):
    for number, text in enumerate(texts):
        append_record(path, Line(number=number, text=text))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.integers(0, 200))
def test_a_file_cut_anywhere_reads_as_the_whole_reader_reads_it(tmp_path_factory, texts, cut):
    path = tmp_path_factory.mktemp("cut") / "lines.jsonl"
    write(path, texts)
    path.write_bytes(path.read_bytes()[: max(len(path.read_bytes()) - cut, 0)])
    assert list(iterate_records(path, Line)) == read_records(path, Line)
    before = read_records(path, Line)
    mend_records(path)
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\n")
    assert list(iterate_records(path, Line)) == before


def test_a_record_that_breaks_the_schema_is_told_when_it_is_reached(tmp_path):
    path = tmp_path / "lines.jsonl"
    write(path, ["a"])
    with path.open("a") as file:
        file.write(json.dumps({"number": "one", "text": "b"}) + "\n")
    rows = iterate_records(path, Line)
    assert next(rows).text == "a"
    with pytest.raises(RecordError, match=r"lines\.jsonl, line 2: field number"):
        next(rows)


@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf", b"\n\n"], ids=["plain", "mark", "blank"])
def test_a_record_is_read_again_by_its_place(tmp_path, head):
    path = tmp_path / "lines.jsonl"
    write(path, ["ä", "b", "c"])
    path.write_bytes(head + path.read_bytes() + b'{"torn')
    found = list(iterate_places(path, Line))
    assert [record for _, record in found] == read_records(path, Line)
    with path.open("rb") as file:
        assert [record_at(file, place, Line) for place, _ in found[::-1]] == [
            record for _, record in found[::-1]
        ]
        with pytest.raises(RecordError, match=r"lines\.jsonl, byte \d+: "):
            record_at(file, found[1][0] + 1, Line)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(RecordError, match="cannot read"):
        next(iterate_records(tmp_path / "none.jsonl", Line))
    with pytest.raises(RecordError, match="cannot read"):
        read_json(tmp_path / "none.json")
    with pytest.raises(RecordError, match="cannot write"):
        mend_records(tmp_path)


def test_an_object_in_a_file(tmp_path):
    path = tmp_path / "a.json"
    write_json_atomic(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.write_text("[1]")
    with pytest.raises(RecordError):
        read_json(path)
