"""A corpus written by a language model: stopped by its cost limit, continued, and the same."""

import re

import pytest
from openai_server import failure, openai_server, text
from small_corpus import score_by_hash, small_recipe

from skingpt_r1.dermcot import corpus
from skingpt_r1.dermcot.corpus import StageRecord
from skingpt_r1.dermcot.narrators import LEDGER, make_narrators
from skingpt_r1.dermcot.pipeline import Tools, build
from skingpt_r1.errors import CostError
from skingpt_r1.llm.budget import Ledger
from skingpt_r1.records import iterate_records


def answer(call):
    known = re.search(r"The diagnosis is known: ([^.]+)\.", call.prompt)
    if call.number % 5 == 3:
        return failure(500, "server_error")
    if known is None:
        return text("A single round red papule with a sharp border and a smooth surface is seen.")
    return text(
        f"Reasoning: A red papule with a sharp border fits {known[1]}.\n"
        f"Differential: wart; cyst\nDiagnosis: {known[1]}\n"
        "Advice: A dermatologist should see it within weeks."
    )


def build_with(recipe, folder, max_cost=None):
    def narrators(where):
        return make_narrators(recipe, where, max_cost=max_cost)

    build(recipe, folder, Tools(narrators, lambda: score_by_hash, "stand-in", 1))


def stage_bytes(folder):
    return {
        stage: corpus.stage_path(folder, stage).read_bytes()
        for stage in ("observe", "reason", "normalise", "audit", "score", "select")
    }


def test_stopped_by_the_limit_and_continued(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    with openai_server(answer) as server:
        name = f"{server.url}#toy-1"
        prices = {name: {"input": 1.0, "output": 10.0}}
        told = {"observe": name, "reason": name, "slips": 0.0, "calls": {"prices": prices}}
        cases = {"count": 10, "held_out": 2}
        recipe = small_recipe(narrators=told, cases=cases)
        broken = tmp_path / "broken"
        # Each call costs 0.0003 and can cost 0.0105 or a little more.
        for limit in (0.0135, 0.0150):
            with pytest.raises(CostError, match="higher --max-cost"):
                build_with(recipe, broken, limit)
            assert Ledger(broken / LEDGER).totals.counted_usd <= limit
        begun = list(iterate_records(corpus.stage_path(broken, "observe"), StageRecord))
        assert 0 < len(begun) < 24
        # Connections and prices may change when a run is taken up again.
        calls = {"prices": prices, "max_connections": 2}
        build_with(small_recipe(narrators=told | {"calls": calls}, cases=cases), broken)
        answered = sum(call.number % 5 != 3 for call in server.calls)
        assert Ledger(broken / LEDGER).totals.calls == answered
        monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "another"))
        whole = tmp_path / "whole"
        build_with(recipe, whole)
    assert stage_bytes(broken) == stage_bytes(whole)
    records = list(iterate_records(corpus.stage_path(whole, "reason"), StageRecord))
    assert records
    assert all(record.dropped is None for record in records)
    assert all(record.provenance.narrator == f"{name} [toy-1]" for record in records)
    assert all(record.provenance.cost_usd == pytest.approx(0.0003) for record in records)
