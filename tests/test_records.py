import hashlib
import json
import os
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from skingpt_r1 import records
from skingpt_r1.data.readers.folder import READER
from skingpt_r1.data.reading import Reading
from skingpt_r1.data.table import read_jsonl
from skingpt_r1.errors import RecordError, TrainingError


class Note(BaseModel):
    id: str
    score: float
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    x: int
    y: int | None = None


def test_models_dataclasses_and_mappings_come_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "notes.jsonl"
    notes = [Note(id="a", score=1.5), Note(id="b\u2028\n", score=2, tags=("x", "ß"))]
    for note in notes:
        records.append_record(path, note, sync=True)
    assert records.read_records(path, Note) == notes
    assert len(path.read_bytes().splitlines()) >= 2
    points = tmp_path / "points.jsonl"
    records.append_records(points, [Point(1), {"x": 2, "y": 3}, MappingProxyType({"x": 4})])
    assert records.read_records(points, Point) == [Point(1), Point(2, 3), Point(4)]
    assert records.read_records(points, dict[str, int | None])[1] == {"x": 2, "y": 3}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=3)))
@settings(max_examples=50, deadline=None)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    records.append_records(path, rows)
    assert records.read_records(path, dict[str, object]) == rows


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_torn_last_line_is_cut_wherever_the_run_was_killed(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "points.jsonl"
    records.append_records(path, [Point(1), Point(2)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    complete = 2 if cut == 1 else 1
    assert len(records.read_records(path, Point)) == complete
    assert path.read_bytes() == whole[:-cut]
    resumed = records.resume_records(path, Point)
    assert len(resumed.records) == complete
    assert resumed.torn == int(cut > 1)
    for point in [Point(1), Point(2)][complete:]:
        records.append_record(path, point)
    assert path.read_bytes() == whole


def test_append_after_a_kill_mends_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"x": 1}\n{"x": "' + b"y" * 200_000)
    records.append_record(path, Point(2))
    assert records.read_records(path, Point) == [Point(1), Point(2)]
    path.write_bytes(b"garbage without any newline")
    records.append_record(path, Point(3))
    assert records.read_records(path, Point) == [Point(3)]


def test_resume_of_nothing_is_empty(tmp_path: Path) -> None:
    assert records.resume_records(tmp_path / "none.jsonl", Point) == ([], 0)
    (tmp_path / "empty.jsonl").touch()
    assert records.resume_records(tmp_path / "empty.jsonl", Point) == ([], 0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2"),
        ("[1]", "line 2"),
        ('{"x": "1"}', "field x"),
        ('{"x": 1, "z": 2}', "field z"),
        ('{"y": 2}', "field x"),
        ('{"x": NaN}', "line 2"),
    ],
)
def test_a_malformed_line_is_an_error_with_its_number(
    tmp_path: Path, line: str, words: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"x": 1}}\n{line}\n{{"x": 3}}\n')
    with pytest.raises(RecordError, match=words):
        records.read_records(path, Point)


def test_errors_do_not_repeat_the_values_of_a_record(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"x": "secret name"}\n')
    with pytest.raises(RecordError) as caught:
        records.read_records(path, Point)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", object(), {1: object()}])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(
    tmp_path: Path, value: object
) -> None:
    path = tmp_path / "rows.jsonl"
    with pytest.raises(RecordError):
        records.append_record(path, {"value": value})
    with pytest.raises(RecordError):
        records.write_json_atomic(tmp_path / "one.json", {"value": value})
    assert list(tmp_path.iterdir()) == []


def test_a_record_is_an_object(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="object"):
        records.append_record(tmp_path / "rows.jsonl", [1])


def test_missing_files_and_unwritable_places_are_record_errors(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot read"):
        records.read_records(tmp_path / "none.jsonl", Point)
    with pytest.raises(RecordError, match="cannot read"):
        records.sha256_file(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="cannot write"):
        records.append_record(tmp_path / "file" / "rows.jsonl", Point(1))
    with pytest.raises(RecordError, match="cannot write"):
        records.write_json_atomic(tmp_path / "file" / "one.json", {})
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(RecordError, match="cannot write"):
        records.write_json_atomic(tmp_path / "folder.json", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").symlink_to("/dev/full")
    with pytest.raises(RecordError, match="No space left"):
        records.append_record(tmp_path / "rows.jsonl", Point(1))


def test_write_json_atomic_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    records.write_json_atomic(path, {"b": "é", "a": Path("x")})
    records.write_json_atomic(path, OrderedDict(z=1))
    assert json.loads(path.read_text()) == {"z": 1}
    assert path.read_text().endswith("}\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["one.json"]


def test_sha256_file(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)
    assert records.sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_start_run_writes_what_ran_and_continues_the_same_command(tmp_path: Path) -> None:
    recipe = {"model": {"rank": 64}, "data": ("a", "b")}
    assert records.start_run(tmp_path / "run", recipe, seed=3, manifest={"n": 2}) is False
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["recipe"] == {"model": {"rank": 64}, "data": ["a", "b"]}
    assert (run["seed"], run["manifest"]) == (3, {"n": 2})
    assert {"python", "numpy", "torch"} <= set(run["versions"])
    assert str(Path.cwd()) not in json.dumps(run)
    assert records.start_run(tmp_path / "run", recipe, seed=3, manifest={"n": 2}) is True


@pytest.mark.parametrize(
    ("recipe", "seed", "words"),
    [
        ({"model": {"rank": 8}}, 0, "recipe.model.rank was 64, is 8"),
        ({"model": {"rank": 64}}, 1, "seed was 0"),
    ],
)
def test_another_command_is_refused(
    tmp_path: Path, recipe: dict[str, object], seed: int, words: str
) -> None:
    records.start_run(tmp_path, {"model": {"rank": 64}}, seed=0)
    with pytest.raises(TrainingError, match=words):
        records.start_run(tmp_path, recipe, seed=seed)


def test_a_broken_run_file_is_a_record_error(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RecordError):
        records.start_run(tmp_path, {}, seed=0)


def test_metrics_are_appended_and_cut_back_to_the_resumed_step(tmp_path: Path) -> None:
    for step in range(5):
        records.log_metrics(tmp_path, step, loss=1.0 / (step + 1))
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"step": 5, "lo')
    assert records.keep_metrics(tmp_path, 2) == 3
    rows = records.read_records(tmp_path / "metrics.jsonl", dict[str, float])
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert records.keep_metrics(tmp_path / "none", 2) == 0
    with pytest.raises(RecordError):
        records.log_metrics(tmp_path, 3, loss=float("nan"))


def test_results_have_one_schema(tmp_path: Path) -> None:
    row = {"table": "t", "system": "base", "metric": "accuracy", "value": 0.5, "n": 300}
    records.write_results(tmp_path, [row, records.ResultRow(**row, low=0.4, high=0.6)])
    written = json.loads((tmp_path / "results.json").read_text())
    assert [list(entry) for entry in written] == [
        ["table", "system", "metric", "value", "low", "high", "n"]
    ] * 2
    assert written[0]["low"] is None
    for wrong in [{**row, "n": "300"}, {**row, "p": 0.1}, {**row, "value": float("nan")}]:
        with pytest.raises(RecordError):
            records.write_results(tmp_path, [wrong])


ROWS = b'{"x": 1}\n{"x": 2}\n'


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + ROWS,
        b"\xef\xbb\xbf" + ROWS.rstrip(),
        ROWS.replace(b"\n", b"\r\n"),
        ROWS + b"\n",
        ROWS + b"\n \t\n\r\n",
        ROWS + b"   ",
        b"\n" + ROWS.replace(b"\n", b"\n\n"),
        b"\xef\xbb\xbf" + ROWS.replace(b"\n", b"\r\n") + b"\r\n",
    ],
)
def test_files_as_editors_save_them_are_read(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    assert records.read_records(path, Point) == [Point(1), Point(2)]
    assert list(records.iterate_records(path, Point)) == [Point(1), Point(2)]
    assert not caplog.records  # nothing was torn
    reading = Reading(READER, tmp_path)
    assert [row.values for row in read_jsonl(path, ("x",), reading)] == [{"x": 1}, {"x": 2}]
    assert records.resume_records(path, Point).torn == 0
    records.append_record(path, Point(3))
    assert records.read_records(path, Point) == [Point(1), Point(2), Point(3)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'[{"x": 1}]', "one JSON list"),
        (b'[{"x": 1}, {"x": 2}]\n', "one JSON list"),
        (b'\xef\xbb\xbf[\n  {"x": 1}\n]\n', "one JSON list"),
        ('{"x": 1}\n'.encode("utf-16"), "UTF-16; save it as UTF-8"),
        ('{"x": 1}'.encode("utf-16-le"), "UTF-16; save it as UTF-8"),
        ('{"x": 1}'.encode("utf-16-be"), "UTF-16; save it as UTF-8"),
        (b'{\n  "x": 1\n}\n', "line 1: Invalid JSON"),
    ],
)
def test_files_that_are_no_json_lines_are_called_what_they_are(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=words):
        records.read_records(path, Point)
    with pytest.raises(RecordError, match=words):
        list(records.iterate_records(path, Point))
    assert path.read_bytes() == content


def test_a_torn_first_line_is_no_list(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"x": [1, 2')
    assert records.resume_records(path, Point) == ([], 1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_what_counts_of_a_key_is_the_first_that_settles_it_else_the_last(
    found: list[tuple[str, bool]],
) -> None:
    items = [(key, settles, place) for place, (key, settles) in enumerate(found)]
    reference = {}
    for key in dict.fromkeys(key for key, _, _ in items):
        own = [item for item in items if item[0] == key]
        reference[key] = next((item for item in own if item[1]), own[-1])
    kept = records.counting(items, lambda item: item[0], lambda item: item[1])
    assert list(kept.items()) == list(reference.items())
