"""A plain folder with a metadata table: read, written, read back."""

import json
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_sets import build, edit, json_lines, picture, table

from skingpt_r1.case import Case, SkinTone, Split
from skingpt_r1.data import load_cases, write_folder
from skingpt_r1.errors import DatasetError
from skingpt_r1.text.findings import WORDS
from skingpt_r1.text.values import given_text, tidy
from skingpt_r1.text.wording import CONTEXT_KEYS


def test_csv_columns(tmp_path: Path) -> None:
    first = load_cases("folder", build("folder", tmp_path))[0]
    assert first == Case(
        id="sub/0",
        images=(tmp_path / "sub" / "0.png",),
        dataset="folder",
        group="g0",
        label="eczema",
        findings={"colour": "red"},
        context={"site": "arm"},
        attributes={"camera": "phone"},
    )


def test_csv_with_several_pictures(tmp_path: Path) -> None:
    names = ["b.png", "a.png"]
    for name in names:
        picture(tmp_path / name)
    table(tmp_path / "metadata.csv", [{"file_names": json.dumps(names), "fitzpatrick": "5.0"}])
    (case,) = load_cases("folder", tmp_path)
    assert [path.name for path in case.images] == names
    assert (case.id, case.group) == ("b", "b")
    assert (case.fitzpatrick, case.tone) == (5, SkinTone.DARK)


def test_json_lines_fields(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    record = {
        "file_name": "a.png",
        "id": 7,
        "label": "wart",
        "split": "val",
        "tone": "Light",
        "fitzpatrick": -1,
        "findings": {"size": "small"},
        "context": {"age": 40, "site": None},
        "attributes": {"lens": "x"},
        "narrative": "text",
        "pixels": [6, 5],
        "note": None,
    }
    json_lines(tmp_path / "metadata.jsonl", [record])
    (case,) = load_cases("folder", tmp_path)
    assert case.id == case.group == "7"
    assert case.split is Split.VALIDATION
    assert (case.tone, case.fitzpatrick) == (SkinTone.LIGHT, None)
    assert case.findings == {"size": "small"}
    assert case.context == {"age": "40"}
    assert case.attributes == {"pixels": "[6, 5]", "lens": "x"}
    assert case.narrative == "text"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"file_name": "../a.png"}, "is no picture inside the folder"),
        ({"file_name": "/a.png"}, "is no picture inside the folder"),
        ({"file_name": ""}, "is no picture inside the folder"),
        ({"context": {"sex": "f"}}, "unknown context 'sex'; known: site, age"),
        ({"file_name": 3}, "is no picture inside the folder"),
        ({"file_names": []}, "is no picture inside the folder"),
        ({"file_names": "a.png"}, "is not a JSON list"),
        ({"split": "dev"}, "split 'dev' is not one of train"),
        ({"tone": "blue"}, "tone 'blue' is not one of light"),
        ({"fitzpatrick": 9}, "Fitzpatrick type '9'"),
        ({"findings": {"colour": "blue"}}, "unknown colour 'blue'; known: red"),
        ({"findings": {"hue": "red"}}, "unknown slot 'hue'"),
        ({"findings": ["red"]}, "give a mapping"),
    ],
)
def test_bad_fields(fields: dict[str, object], message: str, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    json_lines(tmp_path / "metadata.jsonl", [{"file_name": "a.png", **fields}])
    with pytest.raises(DatasetError) as caught:
        load_cases("folder", tmp_path)
    assert "metadata.jsonl row 1: " in str(caught.value)
    assert message in str(caught.value)
    assert len(caught.value.problems) == 1


def test_all_problems_at_once(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    names = ["a.png", "b.png", "gone.png", "a.png"]
    json_lines(tmp_path / "metadata.jsonl", [{"file_name": name} for name in names])
    with (tmp_path / "metadata.jsonl").open("a") as stream:
        stream.write("\nnot json\n")
    with pytest.raises(DatasetError) as caught:
        load_cases("folder", tmp_path)
    assert caught.value.problems == (
        "metadata.jsonl row 3: no picture gone.png",
        "metadata.jsonl row 4: duplicate id 'a', first seen in metadata.jsonl row 1",
        "metadata.jsonl row 6: not JSON: Expecting value: line 1 column 1 (char 0)",
    )


def test_two_tables_or_no_file_column(tmp_path: Path) -> None:
    root = build("folder", tmp_path)
    json_lines(root / "metadata.jsonl", [{"file_name": "sub/0.png"}])
    with pytest.raises(DatasetError, match="keep one"):
        load_cases("folder", root)
    (root / "metadata.jsonl").unlink()
    path = root / "metadata.csv"
    path.write_text(path.read_text().replace("file_name", "filename"))
    with pytest.raises(DatasetError, match="wrong columns"):
        load_cases("folder", root)


def test_csv_row_numbers_count_records(tmp_path: Path) -> None:
    """A cell with line breaks is one row, as a spreadsheet shows it."""
    root = build("folder", tmp_path)
    edit(root / "metadata.csv", 0, narrative="one\ntwo\nthree")
    edit(root / "metadata.csv", 2, split="dev")
    with pytest.raises(DatasetError, match=r"metadata.csv row 4: split 'dev'"):
        load_cases("folder", root)


@pytest.mark.parametrize("tail", ['"never closed', 'a"b"c,"d"e'])
def test_broken_quoting(tail: str, tmp_path: Path) -> None:
    root = build("folder", tmp_path)
    with (root / "metadata.csv").open("a") as stream:
        stream.write(tail)
    with pytest.raises(DatasetError, match=r"not a readable CSV file|cells where"):
        load_cases("folder", root)


def test_empty_tables(tmp_path: Path) -> None:
    for name in ("metadata.csv", "metadata.jsonl"):
        path = tmp_path / name
        path.write_text("")
        with pytest.raises(DatasetError, match="no case"):
            load_cases("folder", tmp_path)
        path.unlink()


def test_a_column_that_stands_twice(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,label,label\na.png,x,y\n")
    with pytest.raises(DatasetError, match="column 'label' stands twice"):
        load_cases("folder", tmp_path)


def test_writing_refuses(tmp_path: Path) -> None:
    inside, outside = picture(tmp_path / "set" / "a.png"), picture(tmp_path / "b.png")
    case = Case(id="a", images=(inside,), dataset="x", group="g")
    with pytest.raises(DatasetError, match="nothing written") as caught:
        write_folder(
            tmp_path / "set",
            [
                case,
                case,
                Case(id="b", images=(outside,), dataset="x", group="g"),
                Case(id="c", images=(tmp_path / "set" / ".." / "b.png",), dataset="x", group="g"),
                Case(id="d", images=(), dataset="x", group="g"),
            ],
        )
    assert len(caught.value.problems) == 4
    with pytest.raises(DatasetError, match="nothing written"):
        write_folder(tmp_path / "set", [])
    assert not list((tmp_path / "set").glob("metadata*"))
    (tmp_path / "set" / "metadata.jsonl").mkdir()
    with pytest.raises(DatasetError, match="cannot write"):
        write_folder(tmp_path / "set", [case])


words = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12)
# Names as a reader leaves them: tidied, and of one spelling.
names = words.map(lambda text: tidy(text.strip("_"))).filter(given_text)
groups = names.map(lambda text: normalize("NFKC", text).casefold()).filter(
    lambda text: tidy(text) == text == normalize("NFKC", text).casefold() and given_text(text)
)
facts = st.dictionaries(words, st.text(st.characters(blacklist_categories=["Cs"]), max_size=9))
told = st.fixed_dictionaries({}, optional=dict.fromkeys(CONTEXT_KEYS, names))
findings = st.fixed_dictionaries(
    {}, optional={slot: st.sampled_from(list(values)) for slot, values in WORDS.items()}
)
known_cases = st.builds(
    lambda pictures, **fields: (pictures, fields),
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
    group=groups,
    dataset=names,
    label=st.none() | names,
    split=st.none() | st.sampled_from(Split),
    fitzpatrick=st.none() | st.integers(1, 6),
    tone=st.none() | st.sampled_from(SkinTone),
    findings=findings,
    context=told,
    attributes=facts,
    narrative=st.none() | words.filter(given_text),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=st.lists(known_cases, min_size=1, max_size=4))
def test_written_cases_come_back(
    drawn: list[tuple[list[int], dict[str, object]]], tmp_path: Path
) -> None:
    files = [tmp_path / "deep" / f"{n} ä.png" for n in range(4)]
    files[0].parent.mkdir(exist_ok=True)
    for file in files:
        file.touch()
    cases = [
        Case(id=f"case {n}", images=tuple(files[p] for p in pictures), **fields)  # type: ignore[arg-type]
        for n, (pictures, fields) in enumerate(drawn)
    ]
    assert write_folder(tmp_path, cases) == tmp_path / "metadata.jsonl"
    assert load_cases("folder", tmp_path) == cases
