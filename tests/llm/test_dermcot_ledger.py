"""The ledger: sums, interruptions, and a limit that concurrent calls never pass."""

import asyncio
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skingpt_r1.errors import CostError, RecordError
from skingpt_r1.llm.budget import CallRecord, Ledger, Price, Totals, WantedCall, read_totals
from skingpt_r1.records import read_records

PRICE = Price(input=3.0, output=15.0)


def asked(*, read=1000, written=500, price=PRICE):
    return WantedCall("toy", "0" * 64, 7, price, read, written)


async def one_call(ledger, wanted, used, *, pause=0.0, error=None):
    async with ledger.call(wanted, lambda failure: str(failure)) as usage:
        await asyncio.sleep(pause)
        if error is not None:
            raise error
        usage.tokens = used


def test_a_call_is_one_record_with_tokens_price_and_cost(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    asyncio.run(one_call(ledger, asked(), (900, 100)))
    (record,) = read_records(ledger.path, CallRecord)
    assert (record.input_tokens, record.output_tokens) == (900, 100)
    assert (record.input_price, record.output_price) == (3.0, 15.0)
    assert record.cost_usd == pytest.approx((900 * 3 + 100 * 15) / 1e6)
    assert record.at.endswith("+00:00")


@pytest.mark.parametrize(
    ("problem", "counts"),
    [("timeout", True), ("connection", True), ("interrupted", True),
     ("server_error", False), ("rate_limited", False)],
)  # fmt: skip
def test_a_failed_call_counts_when_it_may_have_been_paid(tmp_path, problem, counts):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    with pytest.raises(OSError, match=problem):
        asyncio.run(one_call(ledger, asked(), None, error=OSError(problem)))
    totals = ledger.totals
    assert (totals.calls, totals.failed, totals.unknown, totals.cost_usd) == (1, 1, 1, 0.0)
    assert totals.counted_usd == pytest.approx(asked().at_most_usd if counts else 0.0)


def test_without_a_price_the_cost_is_unknown_and_not_zero(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    asyncio.run(one_call(ledger, asked(price=None), (900, 100)))
    (record,) = read_records(ledger.path, CallRecord)
    assert record.cost_usd is None
    assert record.counted_usd is None
    assert str(ledger.totals) == ("1 calls (0 failed), 900 tokens read, 100 written, cost unknown")
    asyncio.run(one_call(ledger, asked(), (900, 100)))
    assert str(ledger.totals).endswith("cost 0.0042 USD and 1 calls of unknown cost")
    assert str(Totals()).endswith("cost 0.0000 USD")


def test_a_continued_run_counts_what_was_paid(tmp_path):
    path = tmp_path / "ledger.jsonl"
    first = Ledger(path)
    for _ in range(3):
        asyncio.run(one_call(first, asked(), (900, 100)))
    with path.open("a") as file:
        file.write('{"at": "2026-01-01T00:00')  # killed while writing
    again = Ledger(path, max_cost_usd=0.025)
    assert again.totals == first.totals
    asyncio.run(one_call(again, asked(), (900, 100)))
    with pytest.raises(CostError, match=r"0\.0168 USD count as paid .* up to 0\.0105 USD"):
        asyncio.run(one_call(again, asked(), (900, 100)))
    assert read_totals(path).calls == 4


def test_a_damaged_ledger_is_refused(tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text(json.dumps({"at": "now"}) + "\n")
    with pytest.raises(RecordError, match="line 1"):
        Ledger(path, max_cost_usd=1.0)


def test_a_limit_needs_a_price(tmp_path):
    with pytest.raises(CostError, match=r"cost of 'toy' is unknown.*narrators\.calls\.prices"):
        Ledger(tmp_path / "ledger.jsonl", 1.0).check_price("toy", None)
    Ledger(tmp_path / "ledger.jsonl", 1.0).check_price("toy", PRICE)
    Ledger(tmp_path / "ledger.jsonl").check_price("toy", None)


def test_a_call_waits_for_others_that_may_turn_out_cheaper(tmp_path):
    """Two calls of at most 0.0105 do not fit into 0.015 together; one after the other they do."""
    ledger = Ledger(tmp_path / "ledger.jsonl", max_cost_usd=0.015)

    async def both():
        await asyncio.gather(
            one_call(ledger, asked(), (100, 100), pause=0.01),
            one_call(ledger, asked(), (100, 100), pause=0.01),
        )

    asyncio.run(both())
    assert ledger.totals.calls == 2


@given(
    limit=st.floats(0.0, 0.2),
    calls=st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 2000), st.booleans()), max_size=30
    ),
    seed=st.integers(0, 99),
)
def test_the_limit_is_never_passed(tmp_path_factory, limit, calls, seed):
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "ledger.jsonl", max_cost_usd=limit)
    rng = random.Random(seed)

    async def attempt(read, written, fails):
        used = (rng.randint(0, read), rng.randint(0, written))
        error = OSError("timeout") if fails else None
        await one_call(ledger, asked(read=read, written=written), used, error=error)

    async def every():
        return await asyncio.gather(*(attempt(*call) for call in calls), return_exceptions=True)

    outcomes = asyncio.run(every())
    assert ledger.totals.counted_usd <= limit + 1e-12
    assert {type(outcome) for outcome in outcomes} <= {type(None), OSError, CostError}
    refused = sum(isinstance(outcome, CostError) for outcome in outcomes)
    assert ledger.totals.calls == len(calls) - refused
    assert (
        read_totals(ledger.path) == ledger.totals
        if ledger.path.exists()
        else not calls or (refused == len(calls))
    )
