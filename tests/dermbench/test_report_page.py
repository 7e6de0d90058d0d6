"""The page holds everything, asks for nothing from outside, and is never broken by a text."""

import base64
import hashlib
import json
import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_report import HOSTILE, JUDGES, SYSTEMS, made_report

from skingpt_r1.dermbench.report.cases import CaseChunks, script_json
from skingpt_r1.dermbench.report.data import ReportData
from skingpt_r1.dermbench.report.page import markdown, page_pieces, write_page
from skingpt_r1.dermbench.report.wording import difference, p_value, signed
from skingpt_r1.dermcot.card import RESEARCH
from skingpt_r1.records import ResultRow
from skingpt_r1.stats.intervals import NO_INTERVAL, Interval

ADDRESSES = {"src", "href", "action", "data", "poster", "srcset", "xlink:href", "background"}
# HTML ends these in their start tag.
VOID = {"meta", "link", "br", "input", "img", "hr", "line", "circle", "rect", "polyline"}


class Outline(HTMLParser):
    """Tags, addresses, scripts and the open elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.tables: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "table":
            self.tables.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        if "table" in self.open:
            self.tables[-1] += data


@pytest.fixture(scope="module")
def page() -> str:
    return "".join(page_pieces(made_report()))


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    return Outline(page)


def test_elements_are_closed(outline: Outline) -> None:
    assert outline.open == []


def test_nothing_from_outside(page: str, outline: Outline) -> None:
    for tag, attributes in outline.tags:
        for name in ADDRESSES & attributes.keys():
            value = attributes[name] or ""
            assert value.startswith(("#", "data:")), (tag, name, value)
    assert not re.search(r"@import|url\((?!#)|https?://", page)


def test_policy_allows_one_script_by_its_hash(outline: Outline) -> None:
    policies = [a for tag, a in outline.tags if a.get("http-equiv") == "Content-Security-Policy"]
    policy = policies[0]["content"] or ""
    assert "default-src 'none'" in policy
    run = [text for attributes, text in outline.scripts if "type" not in attributes]
    assert len(run) == 1
    digest = base64.b64encode(hashlib.sha256(run[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_hostile_texts_stay_texts(page: str, outline: Outline) -> None:
    assert HOSTILE not in page
    assert not [tag for tag, _ in outline.tags if tag == "img"]
    assert not [a for _, a in outline.tags if any(name.startswith("on") for name in a)]
    inner = [text for attributes, text in outline.scripts if attributes.get("id") == "chunk-0"]
    assert json.loads(inner[0])[0]["answers"][0]["text"].startswith(HOSTILE)


def test_all_cases_are_in_the_page_once(outline: Outline) -> None:
    by_id = {a["id"]: text for a, text in outline.scripts if "id" in a}
    index = json.loads(by_id["case-index"])
    chunks = [json.loads(by_id[name]) for name in by_id if (name or "").startswith("chunk-")]
    ids = [case["id"] for chunk in chunks for case in chunk]
    assert ids == [row["id"] for row in index["cases"]] == [f"case-{n:04d}" for n in range(60)]
    assert all(len(chunk) == index["chunk_size"] for chunk in chunks[:-1])


def test_two_scales_are_never_in_one_table(outline: Outline, page: str) -> None:
    for protocol in ("decimals 0-5", "integers 1-5"):
        assert protocol in page
    boards = [text for text in outline.tables if "Scored / asked" in text]
    assert len(boards) == len(JUDGES)
    for text in outline.tables:
        assert not ("decimals 0-5" in text and "integers 1-5" in text)


def test_says_research_at_both_ends(page: str) -> None:
    body = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert body.count(RESEARCH) >= 3
    assert RESEARCH in body[: body.index("<main")]
    assert RESEARCH in body[body.index("<footer") :]


def test_headings_descend_one_by_one(outline: Outline) -> None:
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    for before, after in pairwise(levels):
        assert after <= before + 1


def test_landmarks_labels_and_table_headers(outline: Outline) -> None:
    tags = [tag for tag, _ in outline.tags]
    assert {"header", "nav", "main", "footer"} <= set(tags)
    ids = [a["id"] for _, a in outline.tags if "id" in a]
    assert len(ids) == len(set(ids))
    labelled = {a["for"] for tag, a in outline.tags if tag == "label"}
    fields = {a["id"] for tag, a in outline.tags if tag in {"input", "select"}}
    assert fields <= labelled
    assert all(a.get("scope") in {"row", "col"} for tag, a in outline.tags if tag == "th")
    assert tags.count("caption") == tags.count("table")
    anchors = {a["href"] for tag, a in outline.tags if tag == "a"}
    assert {anchor.removeprefix("#") for anchor in anchors if anchor} <= set(ids)
    named = [a for _, a in outline.tags if a.get("role") in {"region", "img", "note"}]
    assert all(a.get("aria-label") for a in named)


def test_every_part_has_its_place(outline: Outline) -> None:
    ids = {a["id"] for _, a in outline.tags if "id" in a}
    parts = {"scores", "labels", "classification", "audits", "leaks", "cases", "method"}
    assert parts <= ids


def test_a_report_without_anything_is_a_page() -> None:
    empty = ReportData(title="nothing yet", facts={}, systems={})
    outline = Outline("".join(page_pieces(empty)))
    assert outline.open == []
    ids = {a["id"] for _, a in outline.tags if "id" in a}
    assert "method" in ids
    assert "scores" not in ids


def test_nothing_scored_is_said(page: str) -> None:
    assert "nothing scored" in page
    assert "no difference shown" in page
    assert "none scored" in page


def test_large_matrices_are_listed(page: str) -> None:
    assert page.count("Confusion matrix of") == 2
    assert "40 classes: the most frequent confusions" in page


def test_pairs_are_shown_from_both_sides(outline: Outline) -> None:
    board = made_report().of("scores")[0]
    matrix = next(text for text in outline.tables if "Row less column" in text)
    for pair in board.pairs:
        found, p = difference(board, *pair)
        for value, low, high in (
            (found.value, found.low, found.high),
            (-found.value, -found.high, -found.low),
        ):
            ends = f"{signed(low)} to {signed(high)}"
            assert f"{signed(value)}{ends}p {p_value(p)}, n {found.n}" in matrix
    assert matrix.count("not compared") == 2 * (len(board.systems) - 1)


def test_the_gap_leaves_controls_aside() -> None:
    data = made_report(8)
    chunks = CaseChunks(data)
    list(chunks)
    rows = json.loads(chunks.index())["cases"]
    rated = [name for name in SYSTEMS if not name.startswith("control/")]
    for row, case in zip(rows, data.cases(), strict=True):
        for place, (judge, _) in enumerate(JUDGES):
            means = []
            for answer, _, judgements in case.answers:
                sums = [
                    sum(verdict.scores.values()) / 6
                    for verdict in judgements
                    if verdict.judge == judge and verdict.scores
                ]
                if sums and answer.system in rated:
                    means.append(sum(sums) / len(sums))
            assert row["gaps"][place] == pytest.approx(max(means) - min(means), abs=1e-3)
            assert row["lows"][place] == pytest.approx(min(means), abs=1e-3)


def without_ends(part: object) -> object:
    """The same report with every interval lost, as where all cases are of one patient."""
    if isinstance(part, Interval):
        return part._replace(low=None, high=None)
    if isinstance(part, ResultRow):
        return part.model_copy(update={"low": None, "high": None})
    if isinstance(part, dict):
        return {key: without_ends(value) for key, value in part.items()}
    if isinstance(part, tuple):
        values = map(without_ends, part)
        return part._make(values) if hasattr(part, "_make") else tuple(values)
    if is_dataclass(part):
        names = [field.name for field in fields(part)]
        return replace(part, **{name: without_ends(getattr(part, name)) for name in names})
    return part


def test_a_report_without_intervals_says_so_everywhere() -> None:
    data = without_ends(made_report(40))
    page, plain = "".join(page_pieces(data)), markdown(data)
    for text in (page, plain):
        assert text.count(NO_INTERVAL) > 50
        assert "None" not in text.replace("None |", "")
        assert not re.search(r"\d \([−\d.]+ to [−\d.]+\)", text)


def test_the_same_data_give_the_same_page(page: str) -> None:
    assert "".join(page_pieces(made_report())) == page


def test_an_old_page_is_replaced_whole(tmp_path) -> None:
    path = tmp_path / "deep" / "report.html"
    write_page(made_report(3), path)
    first = path.read_text("utf-8")
    write_page(made_report(4), path)
    assert path.read_text("utf-8") != first
    assert [item.name for item in path.parent.iterdir()] == ["report.html"]


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_any_text_survives_the_script_element(text: str) -> None:
    held = str(script_json([text]))
    assert "<" not in held
    assert ">" not in held
    assert json.loads(held) == [text]
