"""Rating files: the public schema, several raters, names of raters, errors that name the line."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.errors import RecordError
from skingpt_r1.ratings.rating import (
    SCORE_COLUMNS,
    Rating,
    RatingScores,
    rater_key,
    read_rating_rows,
    read_ratings,
    read_texts,
    write_ratings,
)
from skingpt_r1.text.rubric import DIMENSIONS, REASONS, Scores, Unscored, format_scores
from skingpt_r1.text.wording import write_critique

VALUES = (4.5, 5.0, 3.5, 4.0, 2.5, 3.0)
SCORES = dict(zip(SCORE_COLUMNS, VALUES, strict=True))
PUBLIC = {"id": "a", "image": "a.png", "diagnostic_text": "a wart", "scores": SCORES}


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_slugs_are_the_dimensions_in_order():
    assert tuple(RatingScores.model_fields) == SCORE_COLUMNS
    assert [slug.replace("_", " ").title() for slug in SCORE_COLUMNS] == list(DIMENSIONS)


def test_a_row_of_the_public_schema_is_read(tmp_path):
    (item,) = read_ratings(write(tmp_path / "r.jsonl", PUBLIC))
    assert item.mean.values == VALUES
    assert item.images == (tmp_path / "a.png",)
    assert (item.group, item.damage, item.unscored) == ("a", None, 0)


def test_scores_are_read_from_the_critique_where_they_are_not_given(tmp_path):
    row = {k: v for k, v in PUBLIC.items() if k != "scores"}
    text = write_critique(Scores(VALUES))
    (item,) = read_ratings(write(tmp_path / "r.jsonl", row | {"evaluation_text": text}))
    assert item.mean.values == VALUES
    assert item.ratings[0].rationales.keys() == set(DIMENSIONS)


@pytest.mark.parametrize(
    ("line", "value"),
    [("{n}: ４．５", 4.5), ("{n}: 9 out of 10", 4.5), ("{n}: 4½", 4.5), ("{n} (0-10): 9", 4.5),
     ("| 1 | {n} | 4,5 |", 4.5), ("'{n}': 4.5,", 4.5)],
)  # fmt: skip
def test_scores_of_a_critique_have_their_right_value(tmp_path, line, value):
    row = {k: v for k, v in PUBLIC.items() if k != "scores"}
    text = "\n".join(line.format(n=name) for name in DIMENSIONS)
    text = f"{{\n{text}\n}}" if line.startswith("'") else text
    row |= {"evaluation_text": f"{text}\n\nIt claims:\n{format_scores(Scores((5.0,) * 6))}"}
    row |= {"diagnostic_text": f"wart\n{format_scores(Scores((5.0,) * 6))}"}
    (item,) = read_ratings(write(tmp_path / "r.jsonl", row))
    assert item.mean.values == (value,) * 6


def test_rationales_come_with_the_scores(tmp_path):
    row = PUBLIC | {"rationales": {"safety": "Careful."}}
    (item,) = read_ratings(write(tmp_path / "r.jsonl", row))
    assert dict(item.ratings[0].rationales) == {"Safety": "Careful."}


def test_the_mean_rater_and_the_unscored(tmp_path):
    low = dict.fromkeys(SCORE_COLUMNS, 1.0)
    rows = [PUBLIC | {"rater": "one"}, PUBLIC | {"rater": "two", "scores": low}]
    without = {k: v for k, v in PUBLIC.items() if k != "scores"}
    rows.append(without | {"rater": "three", "unscored": "refusal"})
    (item,) = read_ratings(write(tmp_path / "r.jsonl", *rows))
    assert item.mean.values == tuple((value + 1) / 2 for value in VALUES)
    assert (len(item.ratings), item.unscored) == (2, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": SCORES | {"safety": 5.5}}, "line 2: field scores.safety"),
        ({"scores": SCORES | {"safety": "5"}}, "line 2: field scores.safety"),
        ({"scores": {"safety": 5}}, "field scores.accuracy"),
        ({"score": 1}, "field score"),
        ({"scores": None}, "no scores; give scores, evaluation_text or unscored"),
        ({"scores": None, "evaluation_text": "fine"}, "unscored: no_scores"),
        ({"unscored": "refusal"}, "exclude each other"),
        ({"scores": None, "unscored": "tired"}, "is not one of empty"),
        ({"image": []}, "at least one picture"),
        ({"diagnostic_text": "another"}, "another text or picture than in row 1"),
        ({}, "rater 'unnamed' has scored 'a' already"),
        ({"rater": "Unnamed "}, "rater 'Unnamed ' has scored 'a' already"),
    ],
)
def test_errors_name_the_line_and_what_is_allowed(tmp_path, change, message):
    path = write(tmp_path / "r.jsonl", PUBLIC, PUBLIC | change)
    with pytest.raises(RecordError, match=message.replace("(", r"\(")):
        read_ratings(path)


def test_an_empty_file_is_an_error(tmp_path):
    path = write(tmp_path / "r.jsonl")
    for read in (read_ratings, read_texts):
        with pytest.raises(RecordError, match="no rows"):
            read(path)


ids = st.text("abc/é ", min_size=1, max_size=5)
scores = st.builds(
    lambda values: RatingScores(**dict(zip(SCORE_COLUMNS, values, strict=True))),
    st.tuples(*[st.integers(0, 50).map(lambda value: value / 10)] * 6),
)
images = st.one_of(st.just("a.png"), st.just(("a.png", "b.png")))
scored = st.builds(
    Rating, id=ids, image=images, diagnostic_text=st.text(max_size=20), rater=ids,
    simulated=st.booleans(), scores=scores, evaluation_text=st.none() | st.text(max_size=5),
    damage=st.none() | st.just(("vague wording",)), group=st.none() | ids, unscored=st.none(),
)  # fmt: skip
unscored = st.builds(
    Rating, id=ids, image=images, diagnostic_text=st.text(max_size=20), scores=st.none(),
    unscored=st.sampled_from(sorted(REASONS)), rationales=st.none(),
)  # fmt: skip


@given(st.lists(st.one_of(scored, unscored), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_what_is_written_reads_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("ratings") / "r.jsonl"
    write_ratings(path, rows)
    found = read_rating_rows(path)
    assert found == rows
    assert all(isinstance(row.verdict, Scores | Unscored) for row in found)


def test_texts_of_bare_narratives_and_of_ratings(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    bare = {"id": "b", "image": ["a.png"], "diagnostic_text": "b", "condition": "wart"}
    found = read_texts(write(tmp_path / "t.jsonl", PUBLIC, PUBLIC | {"rater": "two"}, bare))
    assert [(text.id, files) for text, files in found] == [
        ("a", (tmp_path / "a.png",)),
        ("b", (tmp_path / "a.png",)),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "b", "image": "a.png"}, "row 2: no diagnostic_text"),
        (
            {"id": "b", "image": 3, "diagnostic_text": "x"},
            "id, image or diagnostic_text is no text",
        ),
        ({"id": "b", "image": [], "diagnostic_text": "x"}, "row 2: image is empty"),
        ({"id": "a", "image": "a.png", "diagnostic_text": "x"}, "comes twice"),
        ({"id": "b", "image": "c.png", "diagnostic_text": "x"}, "1 narratives have pictures"),
    ],
)
def test_texts_that_cannot_be_judged(tmp_path, row, message):
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(RecordError, match=message):
        read_texts(write(tmp_path / "t.jsonl", PUBLIC, row))


@pytest.mark.parametrize(
    "name",
    [
        "José M.",
        "JOSÉ M.",
        " josé  m. ",
        "Jose\u0301 M.",
        "Ｊosé Ｍ．",
        "José\u200b M.",
        "\ufeffJosé M.",
        "José\u00a0M.",
    ],
)
def test_one_person(name: str) -> None:
    assert rater_key(name) == "josé m."


@pytest.mark.parametrize("name", ["Jose M.", "José N.", "JoséM.", "José-M.", "José M. 2", ""])
def test_another_person(name: str) -> None:
    assert rater_key(name) != "josé m."


@given(st.text(max_size=20))
def test_the_key_of_a_key_is_itself(name: str) -> None:
    key = rater_key(name)
    assert rater_key(key) == key
    assert rater_key(f" {unicodedata.normalize('NFD', name)}\u200b") == key
