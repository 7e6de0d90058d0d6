"""Records read again by their place: nothing but a torn last line is left out."""

import pytest

from skingpt_r1.dermbench.reading import RecordIndex
from skingpt_r1.dermbench.records import Answer
from skingpt_r1.errors import RecordError
from skingpt_r1.records import append_records, read_records

ANSWERS = [Answer(system="s", id=name, text=f"Ärztin {name}") for name in "abc"]


@pytest.fixture
def path(tmp_path):
    append_records(tmp_path / "a.jsonl", ANSWERS)
    return tmp_path / "a.jsonl"


def test_by_place(path):
    with RecordIndex(path, Answer) as index:
        places = [place for place, _ in index]
        assert [index.at(place) for place in reversed(places)] == ANSWERS[::-1]


@pytest.mark.parametrize(("cut", "left"), [(0, 3), (1, 3), (5, 2)])
def test_the_last_line(path, cut, left):
    """A whole record without its newline is one; half a record is none. As `read_records`."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - cut])
    found = [record for _, record in RecordIndex(path, Answer)]
    assert found == ANSWERS[:left] == read_records(path, Answer)


def test_a_damaged_line_is_an_error(path):
    path.write_bytes(path.read_bytes().replace(b'"id": "b"', b'"id": 7'))
    with pytest.raises(RecordError, match=r"a\.jsonl, line 2: field id"):
        list(RecordIndex(path, Answer))
