"""A plain folder: missing values, names, pictures that are looked for, ids, lost values."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_sets import picture

from skingpt_r1.case import Case
from skingpt_r1.data import Reading, check_dataset, write_folder
from skingpt_r1.data.readers.folder import FIELDS, FILES, MAPPINGS
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.values import tidy


def made(root: Path, rows: str, *pictures: str) -> Reading:
    """A folder with these pictures and this table, read."""
    for shade, name in enumerate(pictures or ("a.png", "b.png", "c.png")):
        picture(root / name, 20 * shade)
    kind = "jsonl" if rows.lstrip().startswith("{") else "csv"
    (root / f"metadata.{kind}").write_text(rows, encoding="utf-8")
    return check_dataset("folder", root)


@pytest.mark.parametrize("cell", ["NaN", "nan", "<NA>", "NULL", ".", "-", "?", "\u00a0", "#VALUE!"])
def test_missing_label_group_and_narrative_in_csv(cell: str, tmp_path: Path) -> None:
    head = "file_name,label,group,narrative,context.site,attributes.lens,camera,fitzpatrick,tone"
    reading = made(tmp_path, f"{head}\na.png" + f",{cell}" * 8 + "\n")
    (case,) = reading.settle()
    assert (case.label, case.group, case.narrative) == (None, "a", None)
    assert (case.context, case.attributes, case.fitzpatrick, case.tone) == ({}, {}, None, None)
    if cell.strip():
        assert {name for name in reading.counts() if "taken as missing" in name} == {
            f"{field} {cell!r}, taken as missing" for field in ("label", "group", "narrative")
        }


@pytest.mark.parametrize("value", ["null", "NaN", '""', '" "', '"NA"', '"unknown"'])
def test_missing_label_group_and_narrative_in_json(value: str, tmp_path: Path) -> None:
    fields = ", ".join(f'"{name}": {value}' for name in ("label", "group", "narrative", "id"))
    row = f'{{"file_name": "a.png", {fields}, "context": {{"site": {value}}}, "x": {value}}}'
    (case,) = made(tmp_path, row).settle()
    assert (case.id, case.label, case.group, case.narrative) == ("a", None, "a", None)
    assert (case.context, case.attributes) == ({}, {})


@pytest.mark.parametrize("value", ["true", "false", '["a", "b"]', "[]", '{"a": 1}', "Infinity"])
@pytest.mark.parametrize("field", ["label", "group", "id", "narrative", "dataset"])
def test_values_that_are_no_text_are_refused(field: str, value: str, tmp_path: Path) -> None:
    reading = made(tmp_path, f'{{"file_name": "a.png", "{field}": {value}}}')
    assert reading.problems == [f"metadata.jsonl row 1: {field} is {value}; give one text, or null"]


def test_context_that_is_no_text_is_refused(tmp_path: Path) -> None:
    reading = made(tmp_path, '{"file_name": "a.png", "context": {"site": ["arm", "leg"]}}')
    assert "context.site is [" in reading.problems[0]


def test_names_are_tidied_and_groups_are_one_whatever_their_case(tmp_path: Path) -> None:
    reading = made(
        tmp_path,
        "file_name,label,group\n"
        "a.png, basal  cell carcinoma,P1\n"
        "b.png,basal cell\u00a0carcinoma ,p1 \n"
        "c.png,Basal cell carcinoma,\uff30\uff12\n",
    )
    cases = reading.settle()
    assert [case.label for case in cases] == [
        "basal cell carcinoma", "basal cell carcinoma", "Basal cell carcinoma",
    ]  # fmt: skip
    assert [case.group for case in cases] == ["p1", "p1", "\uff30\uff12"]
    assert reading.counts() == {
        "label with spaces that do not count, left out": 2,
        "group with spaces that do not count, left out": 1,
        "groups that differ in letter case alone, taken as one": 1,
        "labels that differ in letter case alone, kept apart:"
        " 'Basal cell carcinoma', 'basal cell carcinoma'": 2,
    }


def test_groups_of_one_spelling_stay_as_they_are(tmp_path: Path) -> None:
    cases = made(tmp_path, "file_name,group\na.png,Patient 7\nb.png,Patient 7\nc.png,\n").settle()
    assert [case.group for case in cases] == ["Patient 7", "Patient 7", "c"]


@pytest.mark.parametrize(
    ("named", "on_disk"),
    [
        ("a.JPG", "a.jpg"),
        ("A.jpg", "a.JPG"),
        ("a.png", "a.jpg"),
        ("a", "a.jpeg"),
        ("a.jpg", "deep/er/a.jpg"),
        ("Sub/A.JPG", "sub/a.jpg"),
        ("sub/a.jpg", "a.jpg"),
        ("sub\\a.jpg", "sub/a.jpg"),
        ("./a.jpg", "a.jpg"),
        ("a.1", "a.1.png"),
    ],
)
def test_pictures_are_found_as_the_page_says(named: str, on_disk: str, tmp_path: Path) -> None:
    row = json.dumps({"file_name": named})
    (case,) = made(tmp_path, row, on_disk, "other/b.png").settle()
    assert case.images == (tmp_path / on_disk,)
    stem = named.replace("\\", "/").removeprefix("./")
    assert case.id == (stem if named in {"a", "a.1"} else stem[: stem.rindex(".")])


@pytest.mark.parametrize(
    ("named", "on_disk", "message"),
    [
        ("A.jPg", ("a.jpg", "A.JPG"), "2 files answer to it: A.JPG and a.jpg"),
        ("a.bmp", ("a.jpg", "a.png"), "2 files answer to it: a.jpg and a.png"),
        ("a.jpg", ("x/a.jpg", "y/a.png"), "2 files answer to it: x/a.jpg and y/a.png"),
        ("test/a.jpg", ("train/a.jpg",), "no picture test/a.jpg; train/a.jpg bears the name"),
        ("a.jpg", ("masks/a.png",), "no picture a.jpg; masks/a.png bears the name"),
        ("a" * 300 + ".jpg", ("a.jpg",), "no picture aaa"),
    ],
)
def test_pictures_that_are_not_certain(
    named: str, on_disk: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    reading = made(tmp_path, json.dumps({"file_name": named}), *on_disk)
    assert message in "".join(reading.problems + reading.missing)
    assert not reading.cases


@pytest.mark.parametrize(("named"), ["a.jpg", "masks/a.png", "y/a.jpg"])
def test_a_path_that_is_there_is_never_looked_for(named: str, tmp_path: Path) -> None:
    files = ("a.jpg", "A.JPG", "a.png", "masks/a.png", "y/a.jpg")
    (case,) = made(tmp_path, json.dumps({"file_name": named}), *files).settle()
    assert case.images == (tmp_path / named,)


@pytest.mark.parametrize(
    "name", ["..\\a.png", "C:\\a.png", "/a.png", "\\a.png", "sub/../../a.png", "nan", "a\0.png"]
)
def test_pictures_outside_the_folder(name: str, tmp_path: Path) -> None:
    reading = made(tmp_path, json.dumps({"file_name": name}))
    assert "is no picture inside the folder" in reading.problems[0]


@pytest.mark.parametrize(
    "name", ["../x", "/x", "C:\\x", "a/../../x", "x\u0000y", "a\nb", "x" * 1001]
)
def test_ids_that_lead_out_of_a_folder(name: str, tmp_path: Path) -> None:
    reading = made(tmp_path, json.dumps({"file_name": "a.png", "id": name}))
    assert len(reading.problems) == 1
    assert reading.problems[0].startswith("metadata.jsonl row 1: id ")
    assert "cannot be used: it " in reading.problems[0]
    assert len(reading.problems[0]) < 250


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"file_name": "a.png", "file_names": ["a.png"]}', "are both given; give one"),
        ('{"file_name": "a.png", "label": "x", "label": "y"}', "'label' stands twice"),
        ('{"file_name": "a.png", "label": "\\ud800"}', "not JSON: "),
        ('{"file_name": "a.png", "size": ' + "1" * 5000 + "}", "not JSON: "),
        ('{"file_name": "a.png", "x": ' + "[" * 5000 + "]" * 5000 + "}", "not JSON: "),
        ('{"file_name": "a.png", "Label": "x"}', "column 'Label' is not a field; is it 'label'?"),
        ('{"file_name": "a.png", "findings": false}', "findings is False; give a mapping"),
        ('{"file_name": "a.png", "context": []}', "context is []; give a mapping"),
        ("file_name,Context.site\na.png,arm\n", "is it 'context'?"),
        ("file_name,findings,findings.colour\na.png,x,red\n", "findings is 'x'; give a mapping"),
    ],
)
def test_rows_that_would_lose_a_value(row: str, message: str, tmp_path: Path) -> None:
    assert message in "".join(made(tmp_path, row).problems)


texts = st.text(st.characters(blacklist_categories=[]), max_size=6)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.sampled_from(["a.png", "A"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
fields = st.sampled_from([*FIELDS, *FILES, *MAPPINGS, "x"])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=st.lists(st.dictionaries(fields, anything), min_size=1, max_size=3))
def test_any_json_is_read_or_refused(records: list[dict[str, object]], tmp_path: Path) -> None:
    """No value ends otherwise than as cases that can be written again, or as told problems."""
    rows = [json.dumps({"file_name": "a.png", **record}) for record in records]
    reading = made(tmp_path, "\n".join(rows), "a.png")
    assert len(reading.cases) + len(reading.problems) + len(reading.missing) >= len(records)
    for case in reading.cases:
        assert case.images == (tmp_path / "a.png",) or len(case.images) > 1
        assert case.id == case.id.strip() != ""
        assert case.label is None or case.label == tidy(case.label) != ""
    if reading.cases and not reading.problems:
        write_folder(tmp_path, reading.cases)


def test_one_picture_of_two_cases_is_told(tmp_path: Path) -> None:
    table = "file_name,id,group,split,label\na.png,1,p,train,nevus\na.png,2,q,test,melanoma\n"
    assert list(made(tmp_path, f"{table}b.png,3,p,train,nevus\n").counts().items()) == [
        ("pictures of more than one case; see `skingpt datasets overlap`", 1),
        ("pictures of more than one group, so that splits can share them", 1),
        ("pictures of more than one official split", 1),
        ("pictures with more than one label", 1),
    ]


def test_writing_refuses_what_would_be_read_as_something_else(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png")
    fields = [
        {"label": "nan"}, {"label": " wart"}, {"group": "a  b"}, {"narrative": "N/A"},
        {"id": "../x"}, {"context": {"site": "-"}}, {"dataset": "unknown"},
    ]  # fmt: skip
    for changes in fields:
        values = {"id": "a", "images": (file,), "dataset": "d", "group": "g", **changes}
        with pytest.raises(DatasetError, match="1 problems; nothing written"):
            write_folder(tmp_path, [Case(**values)])
    cases = [Case(id=name, images=(file,), dataset="d", group=name) for name in "aA"]
    with pytest.raises(DatasetError, match=r"groups \['A', 'a'\] would be read back as one"):
        write_folder(tmp_path, cases)
