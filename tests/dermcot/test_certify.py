"""Certification as a whole: history, revisions, third raters, simulated raters, killed runs."""

import json
import shutil
from pathlib import Path

import pytest

from finished_corpus import make_corpus
from skingpt_r1.dermcot.certify import (
    certified,
    current_rules,
    export_to_raters,
    history_path,
    import_ratings,
    settle,
    simulate_raters,
    slip_of,
)
from skingpt_r1.dermcot.corpus import corpus_path, read_corpus
from skingpt_r1.errors import DatasetError, RecordError
from skingpt_r1.ratings.certification import CertifyRules, read_history
from skingpt_r1.ratings.rating import SCORE_COLUMNS, read_ratings
from skingpt_r1.ratings.sheets import RECORDS

RULES = CertifyRules()
SLIPS = {
    0: "wrong diagnosis 0.9",
    1: "vague wording 0.375",
    2: "unsafe advice 0.45 + finding dropped 0.375",
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus", train=2, held_out=5, slips=SLIPS)


def rate(corpus: Path, tmp_path: Path, scores: dict[str, float], **more: str):
    """Export to the raters, fill in one score for each, and import."""
    folder = tmp_path / "export"
    shutil.rmtree(folder, ignore_errors=True)
    export_to_raters(corpus, folder, tuple(scores), RULES, seed=0)
    rows = [json.loads(line) for line in (folder / RECORDS).read_text("utf-8").splitlines()]
    return put_in(corpus, folder / "back.jsonl", rows, scores, **more)


def put_in(corpus: Path, path: Path, rows: list[dict], scores: dict[str, float], **more: str):
    path.write_text(
        "".join(
            json.dumps({**row, **dict.fromkeys(SCORE_COLUMNS, scores[row["rater"]]), **more}) + "\n"
            for row in rows
        ),
        "utf-8",
    )
    return import_ratings(corpus, path, RULES, imported_at="2026-01-01T00:00:00+00:00")


def test_third_rater_settles(corpus: Path, tmp_path: Path) -> None:
    rate(corpus, tmp_path, {"a": 5.0, "b": 3.0})
    assert settle(corpus, RULES).counts["third_rater"] == 5
    made = export_to_raters(corpus, tmp_path / "third", ("a", "b", "c"), RULES, seed=0)
    assert made.rows == 5
    text = (tmp_path / "third" / RECORDS).read_text("utf-8")
    assert {json.loads(line)["rater"] for line in text.splitlines()} == {"c"}
    rate(corpus, tmp_path, {"c": 4.5})
    found = settle(corpus, RULES)
    assert found.counts["certified"] == 5
    assert found.disputed == 5
    (row, *_) = certified(corpus)
    assert len(row[2]) == 3


def test_history_only_grows(corpus: Path, tmp_path: Path) -> None:
    rate(corpus, tmp_path, {"a": 3.0, "b": 3.5})
    before = history_path(corpus).read_bytes()
    assert settle(corpus, RULES).counts["rejected"] == 5
    rows = [json.loads(line) for line in (tmp_path / "export" / RECORDS).read_text().splitlines()]
    assert put_in(corpus, tmp_path / "same.jsonl", rows, {"a": 3.0, "b": 3.5}) is None
    assert history_path(corpus).read_bytes() == before
    event = put_in(corpus, tmp_path / "new.jsonl", rows, {"a": 4.0, "b": 3.5})
    assert event is not None
    assert event.unchanged == 5
    put_in(corpus, tmp_path / "more.jsonl", rows, {"a": 4.0, "b": 4.5}, comment="better now")
    after = history_path(corpus).read_bytes()
    assert after.startswith(before)
    history = read_history(history_path(corpus))
    assert {rating.revision for of in history.ratings.values() for rating in of.values()} == {2, 3}
    assert settle(corpus, RULES).counts["certified"] == 5
    assert "better now" not in (corpus / "certify" / "results.json").read_text()


@pytest.mark.parametrize("other", ["A", "a", " A "])
def test_one_person_under_two_spellings_certifies_nothing(
    corpus: Path, tmp_path: Path, other: str
) -> None:
    rate(corpus, tmp_path, {"a": 4.0})
    rows = [json.loads(line) for line in (tmp_path / "export" / RECORDS).read_text().splitlines()]
    renamed = [{**row, "rater": other} for row in rows]
    event = put_in(corpus, tmp_path / "A.jsonl", renamed, {other: 4.5})
    assert event is not None
    history = read_history(history_path(corpus))
    names = {rating.name for of in history.ratings.values() for rating in of.values()}
    assert names == {"a#2"}
    found = settle(corpus, RULES)
    assert found.counts == {"pending": 5, "third_rater": 0, "certified": 0, "rejected": 0}
    assert found.agreement == []
    assert put_in(corpus, tmp_path / "B.jsonl", renamed, {other: 4.5}) is None
    with pytest.raises(DatasetError, match="no case needs one of these raters"):
        export_to_raters(corpus, tmp_path / "more", ("A",), RULES, seed=0)
    rate(corpus, tmp_path, {"b": 4.5})
    assert settle(corpus, RULES).counts["certified"] == 5
    rows = (corpus / "certify" / "ratings.jsonl").read_text().splitlines()
    assert [json.loads(row)["rater"] for row in rows] == ["a", "b"] * 5


def test_a_history_that_holds_one_person_as_two_is_read(corpus: Path, tmp_path: Path) -> None:
    rate(corpus, tmp_path, {"a": 4.5, "b": 4.5})
    path = history_path(corpus)
    path.write_text(path.read_text().replace('"b"', '"A"').replace('"b#1"', '"A#1"'))
    before = path.read_bytes()
    with pytest.raises(DatasetError, match="decisions rest on other ratings"):
        list(certified(corpus))
    assert settle(corpus, RULES).counts["pending"] == 5
    assert path.read_bytes().startswith(before)
    assert list(certified(corpus)) == []
    rate(corpus, tmp_path, {"c": 4.5})
    assert settle(corpus, RULES).counts["certified"] == 5
    (row, *_) = certified(corpus)
    assert [rating.name for rating in row[2]] == ["a#2", "c#1"]


def test_other_numbers_are_new_decisions(corpus: Path, tmp_path: Path) -> None:
    assert current_rules(corpus) == RULES
    rate(corpus, tmp_path, {"a": 4.5, "b": 4.5})
    strict = CertifyRules(mean=4.8)
    assert settle(corpus, strict).counts["rejected"] == 5
    assert current_rules(corpus) == strict
    lines = [json.loads(line) for line in history_path(corpus).read_text().splitlines()]
    assert [line["event"] for line in lines] == ["import", "decisions", "decisions"]
    assert lines[1]["limits"]["mean"] == 4.0
    assert lines[2]["limits"]["mean"] == 4.8
    assert lines[2]["version"] == "1"
    assert list(certified(corpus)) == []


def test_simulated_raters(corpus: Path) -> None:
    found = simulate_raters(corpus, RULES, raters=4, seed=0)
    assert found.simulated is True
    assert sum(found.counts.values()) == 5
    assert found.counts["certified"] >= 3
    rejected = read_history(history_path(corpus)).decisions
    first = next(read_corpus(corpus, "held_out"))
    assert rejected[first.id].state == "rejected"
    rewritten = [record for record, decision, _ in certified(corpus) if decision.corrected]
    originals = {record.id: record.narrative for record in read_corpus(corpus, "held_out")}
    assert rewritten
    assert all(record.narrative != originals[record.id] for record in rewritten)
    rows = json.loads((corpus / "certify" / "results.json").read_text())
    assert {row["system"] for row in rows if row["table"] == "certification"} == {
        "simulated raters"
    }


def test_a_killed_simulation_ends_the_same(corpus: Path, tmp_path: Path) -> None:
    whole = make_corpus(tmp_path / "whole", train=2, held_out=5, slips=SLIPS)
    strict = CertifyRules(dimension_gap=0.3, mean_gap=0.1)
    simulate_raters(whole, strict, raters=4, seed=0)
    wanted = history_path(whole).read_bytes()
    lines = wanted.splitlines(keepends=True)
    assert len(lines) >= 3
    path = history_path(corpus)
    path.parent.mkdir()
    cuts = [0, *(len(b"".join(lines[:n])) for n in range(1, len(lines))), len(lines[0]) // 2,
            len(wanted) - 5]  # fmt: skip
    for cut in cuts:
        path.write_bytes(wanted[:cut])
        simulate_raters(corpus, strict, raters=4, seed=0)
        assert path.read_bytes() == wanted, cut


def test_simulated_and_real_ratings_never_mix(corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(corpus, other)
    rate(corpus, tmp_path, {"a": 4.0, "b": 4.5})
    with pytest.raises(DatasetError, match="ratings of people"):
        simulate_raters(corpus, RULES, raters=4, seed=0)
    simulate_raters(other, RULES, raters=4, seed=0)
    rows = [json.loads(line) for line in (tmp_path / "export" / RECORDS).read_text().splitlines()]
    with pytest.raises(DatasetError, match="simulated ratings; real ones must not mix"):
        put_in(other, tmp_path / "back.jsonl", rows, {"a": 4.0, "b": 4.0})


def test_simulation_needs_synthetic_cases_and_raters(tmp_path: Path) -> None:
    real = make_corpus(tmp_path / "real", train=1, held_out=2, dataset="ham10000")
    with pytest.raises(DatasetError, match="simulated raters know the truth of synthetic"):
        simulate_raters(real, RULES, raters=4, seed=0)
    assert not history_path(real).exists()
    with pytest.raises(DatasetError, match="2 simulated raters cannot settle a dispute"):
        simulate_raters(real, RULES, raters=2, seed=0)


def test_ratings_of_other_texts_do_not_count(corpus: Path, tmp_path: Path) -> None:
    rate(corpus, tmp_path, {"a": 4.5, "b": 4.5})
    path = corpus_path(corpus, "held_out")
    path.write_text(path.read_text("utf-8").replace("Reasoning: ", "Reasoning: Well: "), "utf-8")
    for call in (lambda: settle(corpus, RULES), lambda: list(certified(corpus))):
        with pytest.raises(DatasetError, match="is not the one that was rated"):
            call()


def test_nothing_to_certify(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"has no held_out\.jsonl"):
        settle(tmp_path, RULES)


def test_slips_are_read_or_refused(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "c", train=1, held_out=4, slips={**SLIPS, 3: "bad mood 0.5"})
    records = list(read_corpus(corpus, "held_out"))
    assert slip_of(records[0]).parts == {"wrong diagnosis": 0.9}
    assert dict(slip_of(records[2]).parts) == {"unsafe advice": 0.45, "finding dropped": 0.375}
    with pytest.raises(DatasetError, match="bad mood"):
        slip_of(records[3])


def test_verdicts_feed_the_evaluator(corpus: Path, tmp_path: Path) -> None:
    rate(corpus, tmp_path, {"a": 3.0, "b": 3.5})
    settle(corpus, RULES)
    judged = {item.id: item for item in read_ratings(corpus / "certify" / "ratings.jsonl")}
    for record in read_corpus(corpus, "held_out"):
        item = judged[record.id]
        assert item.text == record.narrative
        assert item.group == record.group
        assert all(path.is_file() for path in item.images)
        assert sorted(scores.mean for scores in item.ratings) == [3.0, 3.5]
