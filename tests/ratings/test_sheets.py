"""Cases out to raters and their tables back in: blinding, and every wrong row told."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from finished_corpus import make_corpus
from skingpt_r1.dermcot.certify import export_to_raters, import_ratings, settle
from skingpt_r1.dermcot.corpus import corpus_cases, corpus_path, read_corpus
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.certification import CertifyRules, History
from skingpt_r1.ratings.rating import SCORE_COLUMNS
from skingpt_r1.ratings.sheets import (
    COLUMNS,
    RECORDS,
    TABLE,
    as_cell,
    case_code,
    export_cases,
    from_cell,
)
from skingpt_r1.records import sha256_file
from skingpt_r1.text.rubric import DIMENSIONS

RULES = CertifyRules()
Row = dict[str, str]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus", train=2, held_out=3)


def read_rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: list[Row]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def filled(rows: list[Row], score: str = "4.5") -> list[Row]:
    return [{**row, **dict.fromkeys(SCORE_COLUMNS, score)} for row in rows]


def take_in(corpus: Path, path: Path, *, sound_rows: bool = False):
    return import_ratings(
        corpus, path, RULES, imported_at="2026-01-01T00:00:00+00:00", sound_rows=sound_rows
    )


@pytest.fixture
def sheet(corpus: Path, tmp_path: Path) -> Callable[[], list[Row]]:
    """Rows of an export to two raters, filled in."""

    def make() -> list[Row]:
        folder = tmp_path / "export"
        if not folder.exists():
            export_to_raters(corpus, folder, ("a", "b"), RULES, seed=0)
        return filled(read_rows(folder / "ratings.csv"))

    return make


def test_export_is_blinded(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    made = export_to_raters(corpus, folder, ("a", "b"), RULES, seed=0)
    assert (made.rows, made.cases, made.pictures, made.short) == (6, 3, 3, 0)
    rows = read_rows(folder / "ratings.csv")
    assert tuple(rows[0]) == COLUMNS
    lines = (folder / "ratings.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows
    everything = "".join(
        path.read_text("utf-8") for path in folder.iterdir() if path.suffix in (".md", ".jsonl")
    )
    for record in read_corpus(corpus, "held_out"):
        assert record.id not in everything
        assert record.dataset not in everything
    assert "offline" not in everything
    assert "dermeval" not in everything
    instructions = (folder / "INSTRUCTIONS.md").read_text("utf-8")
    assert "For research, not for diagnosis." in instructions
    assert all(name in instructions for name in (*DIMENSIONS, *SCORE_COLUMNS))
    for row in rows:
        assert row["case"].startswith("case-")
        with Image.open(folder / row["images"]) as image:
            assert not image.getexif()
            assert not image.info


def test_raters_get_other_orders_and_the_same_cases(corpus: Path, tmp_path: Path) -> None:
    export_to_raters(corpus, tmp_path / "e", ("a", "b"), RULES, seed=1)
    orders = {
        rater: [row["case"] for row in read_rows(tmp_path / "e" / "ratings.csv")
                if row["rater"] == rater]
        for rater in "ab"
    }  # fmt: skip
    assert sorted(orders["a"]) == sorted(orders["b"])
    judged = sha256_file(corpus_path(corpus, "held_out"))
    codes = {case_code(record.id, judged) for record in read_corpus(corpus, "held_out")}
    assert set(orders["a"]) == codes


def test_pictures_lose_their_metadata(corpus: Path, tmp_path: Path) -> None:
    record = next(read_corpus(corpus, "held_out"))
    source = corpus / record.images[0]
    with Image.open(source) as image:
        exif = image.getexif()
        exif[0x010E] = "somebody"
        image.save(source, exif=exif)
    export_to_raters(corpus, tmp_path / "e", ("a", "b"), RULES, seed=0)
    assert not [p for p in (tmp_path / "e").rglob("*.png") if b"somebody" in p.read_bytes()]


def test_bad_exports(corpus: Path, tmp_path: Path) -> None:
    for raters, words in (
        ((), "needs raters"),
        (("a", "a"), "stands twice"),
        (("a", "b", "A"), "rater 'A' stands twice"),
        (("a ",), "no pseudonym"),
        (("ａ",), "no pseudonym"),
        (("a\u200b",), "no pseudonym"),
        (("simulated-1",), "simulated rater"),
        (("a b",), "no pseudonym"),
    ):
        with pytest.raises(DatasetError, match=words):
            export_to_raters(corpus, tmp_path / "e", raters, RULES, seed=0)
    (tmp_path / "e").mkdir()
    with pytest.raises(DatasetError, match="exists; name a new folder"):
        export_to_raters(corpus, tmp_path / "e", ("a",), RULES, seed=0)
    assert export_to_raters(corpus, tmp_path / "f", ("a",), RULES, seed=0).short == 3


@pytest.mark.parametrize("rater", ["A", " a", "A  "])
def test_one_person_under_two_spellings_rates_a_case_once(
    corpus: Path, tmp_path: Path, sheet, rater: str
) -> None:
    rows = [row for row in sheet() if row["rater"] == "a"]
    again = [{**row, "rater": rater} for row in rows]
    with pytest.raises(DatasetError, match="3 of 6 rows are wrong") as caught:
        take_in(corpus, write_rows(tmp_path / "both.csv", rows + again))
    assert "has rated this case in both.csv row 2 already" in str(caught.value)


@pytest.mark.parametrize("rater", ["ａ", "á", "a\u0301", "a\u200bb", "\ufeffa"])
def test_spellings_that_look_like_another_rater_are_no_pseudonyms(
    corpus: Path, tmp_path: Path, sheet, rater: str
) -> None:
    rows = [{**row, "rater": rater} for row in sheet() if row["rater"] == "a"]
    with pytest.raises(DatasetError, match="no pseudonym"):
        take_in(corpus, write_rows(tmp_path / "other.csv", rows))


HOSTILE = [
    "=cmd|' /C calc'!A0",
    "=1+1",
    "@SUM(A1:A9)",
    "+1",
    "-1",
    "- scaly, not itchy",
    "\t=1",
    "\r=1",
    "\n=1",
    "  =1",
    "＝1+1",
    "'=1",
    "''",
    "'tis dry",
    "|x",
    'a,b;"c"\n=d',
    "",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_cell_is_a_formula_and_all_come_back(text: str) -> None:
    cell = as_cell(text)
    assert from_cell(cell) == text
    assert cell[:1] not in set("=+-@\t\r\n＝＋－＠")
    assert cell.lstrip()[:1] not in set("=+-@＝＋－＠")


@given(st.text(alphabet="'=+-@ \t\r\nab＝", max_size=6))
def test_every_text_comes_back_from_its_cell(text: str) -> None:
    assert from_cell(as_cell(text)) == text
    if text[:1].isalpha():
        assert as_cell(text) == text


@pytest.mark.parametrize("comment", ["-1", "- itchy", "=1", "'quoted'", "+ scale"])
def test_what_a_person_writes_into_a_cell_stays(comment: str) -> None:
    assert from_cell(comment) == comment


def test_texts_of_cases_are_no_formulas_in_the_table(tmp_path: Path) -> None:
    record = make_corpus(tmp_path / "corpus", train=1, held_out=1)
    (found,) = corpus_cases(record, "held_out")
    hostile = replace(found, narrative="@SUM(A1)", context={"site": "=cmd|x", "age": "-5"})
    assigned, history = {hostile.id: ("a",)}, History(tmp_path / "none")
    export_cases([hostile], history, RULES, assigned, tmp_path / "e", judged="0", seed=0)
    table = (tmp_path / "e" / TABLE).read_text("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(table, newline=""))
    assert [row[name] for name in ("site", "age", "narrative")] == ["'=cmd|x", "'-5", "'@SUM(A1)"]
    assert [from_cell(row[name]) for name in ("site", "age")] == ["=cmd|x", "-5"]
    (line,) = (tmp_path / "e" / RECORDS).read_text("utf-8").splitlines()
    assert json.loads(line)["site"] == "=cmd|x"  # JSON is no spreadsheet


def test_comments_come_back_as_they_were_meant(corpus: Path, tmp_path: Path, sheet) -> None:
    comments = ["- itchy", as_cell("=1"), as_cell("-x"), "'fine'", "@you", as_cell("''")]
    rows = [{**row, "comment": said} for row, said in zip(sheet(), comments, strict=True)]
    event = take_in(corpus, write_rows(tmp_path / "back.csv", rows))
    assert event is not None
    said = [rating.comment for rating in event.ratings]
    assert said == ["- itchy", "=1", "-x", "'fine'", "@you", "''"]


def test_import_certifies(corpus: Path, tmp_path: Path, sheet) -> None:
    event = take_in(corpus, write_rows(tmp_path / "back.csv", sheet()))
    assert event is not None
    assert (len(event.ratings), event.refused, event.unfilled) == (6, 0, 0)
    assert settle(corpus, RULES).counts["certified"] == 3
    with pytest.raises(DatasetError, match="no case needs one of these raters"):
        export_to_raters(corpus, tmp_path / "again", ("c",), RULES, seed=0)


def test_json_lines_and_decimal_commas(corpus: Path, tmp_path: Path, sheet) -> None:
    rows = [{**row, **dict.fromkeys(SCORE_COLUMNS, 4.5), "safety": "4,5"} for row in sheet()]
    path = tmp_path / "back.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    event = take_in(corpus, path)
    assert event is not None
    assert {rating.six.values for rating in event.ratings} == {(4.5,) * 6}


def test_every_wrong_row_is_told_and_nothing_is_imported(
    corpus: Path, tmp_path: Path, sheet
) -> None:
    rows = sheet()
    rows[0]["safety"] = "six"
    rows[1]["accuracy"] = "5.5"
    rows[1]["case"] = "case-unknown"
    rows[2]["comment"], rows[2]["reasoning_coherence"] = "hm", ""
    rows[3]["corrected_text"] = "No idea."
    rows[4]["rater"] = "simulated-1"
    path = write_rows(tmp_path / "back.csv", [*rows, rows[5]])
    with path.open("a", encoding="utf-8") as file:
        file.write("torn\n")
    with pytest.raises(DatasetError, match="7 of 8 rows are wrong; nothing was imported") as caught:
        take_in(corpus, path)
    text = "\n".join(caught.value.problems)
    for words in (
        "row 2: safety 'six' is no score",
        "row 3: case 'case-unknown' is not under certification",
        "row 3: accuracy '5.5' is no score",
        "row 4: reasoning_coherence is empty",
        "row 5: corrected_text cannot be read as a narrative",
        "row 6: rater 'simulated-1' has the name of a simulated rater",
        "row 8: rater 'b' has rated this case in back.csv row 7 already",
        "row 9: 1 cells where the heading has",
    ):
        assert words.replace("rater 'b'", f"rater {rows[5]['rater']!r}") in text
    assert "No idea" not in text
    assert settle(corpus, RULES).simulated is None
    event = take_in(corpus, path, sound_rows=True)
    assert event is not None
    assert (len(event.ratings), event.refused) == (1, 7)


def test_empty_rows_and_empty_tables(corpus: Path, tmp_path: Path, sheet) -> None:
    rows = sheet()
    empty = {**rows[0], **dict.fromkeys(SCORE_COLUMNS, "")}
    event = take_in(corpus, write_rows(tmp_path / "back.csv", [empty, *rows[1:]]))
    assert event is not None
    assert event.unfilled == 1
    with pytest.raises(DatasetError, match="no row to import: 1 of 1 are not filled in"):
        take_in(corpus, write_rows(tmp_path / "none.csv", [empty]))
    with pytest.raises(DatasetError, match="no such file"):
        take_in(corpus, tmp_path / "absent.csv")
    short = [{name: row[name] for name in COLUMNS if name != "safety"} for row in rows]
    with pytest.raises(DatasetError, match="wrong columns") as caught:
        take_in(corpus, write_rows(tmp_path / "short.csv", short))
    assert "no column 'safety'" in str(caught.value)


def test_corrected_text_replaces_the_narrative(corpus: Path, tmp_path: Path, sheet) -> None:
    rows = sheet()
    record = next(read_corpus(corpus, "held_out"))
    code = case_code(record.id, sha256_file(corpus_path(corpus, "held_out")))
    better = record.narrative.replace("Reasoning: ", "Reasoning: Seen twice. ")
    for row in rows:
        if row["case"] == code and row["rater"] == "a":
            row["corrected_text"] = better
    take_in(corpus, write_rows(tmp_path / "back.csv", rows))
    assert settle(corpus, RULES).corrected == 1


def test_corrected_text_must_not_tell_who_it_is(corpus: Path, tmp_path: Path, sheet) -> None:
    rows = sheet()
    named = rows[0]["narrative"].replace("Reasoning: ", "Reasoning: Mrs Sample came again. ")
    rows[0]["corrected_text"] = named
    with pytest.raises(DatasetError, match="1 of 6 rows are wrong") as caught:
        take_in(corpus, write_rows(tmp_path / "back.csv", rows))
    assert "row 2: corrected_text may tell who the person is (name)" in caught.value.problems[0]
    assert "Sample" not in str(caught.value)
