"""Language models as narrators, against a real server that misbehaves on schedule."""

import base64
import io
import json
import logging
import threading
import time

import pytest
from asked_narrator import FINE, drain, ledger_of, make_task, narrator_of
from openai_server import (
    Answer,
    cut_connection,
    failure,
    openai_server,
    scripted,
    text,
    truncated_json,
)
from PIL import Image

from skingpt_r1.dermcot.corpus import REASONS
from skingpt_r1.errors import CostError, ImageError, NarratorError
from skingpt_r1.llm.budget import ApiRecipe
from skingpt_r1.llm.models import WINDOW


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)


@pytest.fixture
def picture(tmp_path):
    """A large picture that says where it was taken."""
    path = tmp_path / "IMG_Jane_Doe.jpg"
    image = Image.effect_noise((1500, 900), 60).convert("RGB")
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    image.save(path, exif=exif)
    return path


def test_a_reply_with_its_provenance_and_its_cost(tmp_path, picture):
    with openai_server(scripted({}, FINE)) as server:
        narrator = narrator_of(server, tmp_path)
        (reply,) = narrator.ask([make_task("describe", picture)])
    assert reply.text == "A single red papule with a sharp border is seen."
    assert reply.problem is None
    assert reply.narrator == f"{server.url}#toy-1 [toy-1]"
    assert (reply.input_tokens, reply.output_tokens) == (100, 20)
    assert reply.cost_usd == pytest.approx((100 * 2 + 20 * 10) / 1e6)
    (record,) = ledger_of(narrator)
    assert record.cost_usd == record.counted_usd == reply.cost_usd
    assert (record.input_price, record.output_price, record.seed) == (2.0, 10.0, 1)


def test_what_is_sent(tmp_path, picture):
    with openai_server(scripted({}, FINE)) as server:
        narrator = narrator_of(server, tmp_path, api=ApiRecipe(longest_side=300))
        tasks = [make_task("describe", picture), make_task("reason")]
        list(narrator.ask(tasks))
    seen, reasoned = sorted(server.calls, key=lambda call: call.prompt)
    assert seen.prompt == "describe"
    assert seen.body["seed"] == 1
    assert seen.body["temperature"] == 0.7
    assert 1024 in (seen.body.get("max_tokens"), seen.body.get("max_completion_tokens"))
    head, _, content = seen.images[0].partition(",")
    assert head == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    assert image.size == (300, 180)
    assert not image.getexif()
    assert "Jane" not in json.dumps(seen.body)
    assert reasoned.images == ()


@pytest.mark.parametrize(
    ("answers", "problem", "num_calls"),
    [
        ([failure(429, "rate_limit", retry_after_ms="20"), FINE], None, 2),
        ([failure(500, "server_error"), FINE], None, 2),
        ([cut_connection(), FINE], None, 2),
        ([truncated_json(), FINE], None, 2),
        ([failure(429, "rate_limit", retry_after_ms="20")], "rate_limited", 6),
        ([failure(503, "overloaded")], "server_error", 6),
        ([cut_connection()], "connection", 6),
        ([truncated_json()], "server_error", 2),
        ([failure(400, "bad_request")], "server_error", 1),
        ([Answer(body=b"{}")], "server_error", 1),
        ([Answer(body=b'"words"')], "server_error", 2),
        ([text("")], "empty", 1),
        ([text(None)], "empty", 1),
        ([text(" \n ")], "empty", 1),
        ([text(None, refusal="No.")], "refusal", 1),
        ([text("half", finish="content_filter")], "refusal", 1),
        ([text("I'm sorry, but I can't help with that.")], "refusal", 1),
        ([text("a" * 200_000)], "too_long", 1),
        ([text("It begins and", finish="length")], "truncated", 1),
    ],
)  # fmt: skip
def test_what_goes_wrong_has_a_code(tmp_path, answers, problem, num_calls):
    script = {"wrong": answers}
    with openai_server(scripted(script, FINE)) as server:
        narrator = narrator_of(server, tmp_path, max_retries=1)
        tasks = [make_task("before"), make_task("wrong"), make_task("after")]
        before, wrong, after = narrator.ask(tasks)
    assert before.text == after.text == "A single red papule with a sharp border is seen."
    assert wrong.problem == problem
    assert bool(wrong.text) == (problem is None)
    assert problem is None or problem in REASONS
    assert server.num_calls == num_calls + 2


def test_a_call_that_hangs_is_given_up(tmp_path):
    with openai_server(scripted({"hang": [text("late", wait_s=8)]}, FINE)) as server:
        narrator = narrator_of(server, tmp_path, timeout_s=2)
        (reply,) = narrator.ask([make_task("hang")])
    assert reply.problem == "timeout"
    (record,) = ledger_of(narrator)
    # The provider may have worked: the most that it can ask for counts against a limit.
    assert reply.cost_usd is record.cost_usd is None
    assert record.problem == "interrupted"
    assert record.counted_usd > 0


def test_it_waits_as_long_as_the_server_asks(tmp_path):
    with openai_server(
        scripted({"busy": [failure(429, "rate_limit", retry_after="2"), FINE]}, FINE)
    ) as server:
        narrator = narrator_of(server, tmp_path, max_retries=1)
        begin = time.monotonic()
        (reply,) = narrator.ask([make_task("busy")])
    assert reply.problem is None
    assert time.monotonic() - begin >= 2


def test_more_than_the_client_waits_for_is_waited_for_too(tmp_path):
    """Clients give up when asked for more than two minutes; then the retry waits, up to a limit."""
    asked = failure(429, "rate_limit", retry_after="600")
    with openai_server(scripted({"busy": [asked, FINE]}, FINE)) as server:
        narrator = narrator_of(server, tmp_path, max_retries=1, longest_wait_s=2)
        begin = time.monotonic()
        (reply,) = narrator.ask([make_task("busy")])
    assert reply.problem is None
    assert time.monotonic() - begin >= 2
    assert server.num_calls == 2


def test_replies_come_in_order_while_calls_run_together(tmp_path):
    def answer(call):
        number = int(call.prompt)
        return text(f"reply {number}", wait_s=0.3 if number % 3 == 0 else 0.01)

    with openai_server(answer) as server:
        narrator = narrator_of(server, tmp_path, max_connections=3)
        replies = list(narrator.ask([make_task(str(number)) for number in range(24)]))
    assert [reply.text for reply in replies] == [f"reply {number}" for number in range(24)]
    assert 2 <= server.most_at_once <= 3


def test_the_window_is_bounded(tmp_path):
    """Tasks far ahead of the first missing reply are not even looked at."""
    taken = []

    class Tasks(list):
        def __iter__(self):
            for task in super().__iter__():
                taken.append(task)
                yield task

    gate = threading.Event()

    def answer(call):
        if call.prompt == "0":
            gate.wait(20)
        return FINE

    with openai_server(answer) as server:
        narrator = narrator_of(server, tmp_path, max_connections=2)
        timer = threading.Timer(1.5, gate.set)
        timer.start()
        replies = narrator.ask(Tasks(make_task(str(number)) for number in range(60)))
        next(replies)
        assert len(taken) <= 2 * WINDOW + 1
        assert len(list(replies)) == 59


def test_a_continued_run_pays_nothing_twice(tmp_path, picture):
    tasks = [make_task(f"task {number}", picture) for number in range(6)]
    with openai_server(scripted({}, FINE)) as server:
        first = narrator_of(server, tmp_path)
        begun = first.ask(tasks[:4])
        kept = [next(begun) for _ in range(2)]
        list(begun)
        paid = first.ledger.totals
        again = narrator_of(server, tmp_path)
        assert again.ledger.totals == paid
        replies = list(again.ask(tasks))
        assert server.num_calls == 6
    assert replies[:2] == kept
    assert again.ledger.totals.calls == 6
    assert again.ledger.totals.cost_usd == pytest.approx(sum(r.cost_usd for r in replies))
    assert {reply.text for reply in replies} == {"A single red papule with a sharp border is seen."}


def test_another_seed_is_another_text(tmp_path):
    with openai_server(lambda call: text(f"number {call.number}")) as server:
        narrator = narrator_of(server, tmp_path)
        one = list(narrator.ask([make_task("same", seed=1), make_task("same", seed=2)]))
    assert server.num_calls == 2
    assert one[0].text != one[1].text


def test_it_stops_before_the_call_that_could_pass_the_limit(tmp_path):
    # At most 1024 tokens are written: 0.01024 USD and a little for what is read. 0.0004 is paid.
    tasks = [make_task(f"task {number}") for number in range(30)]
    with openai_server(scripted({}, FINE)) as server:
        narrator = narrator_of(server, tmp_path, max_cost=0.0125, max_connections=4)
        replies = narrator.ask(tasks)
        got, stopped = drain(replies)
        assert isinstance(stopped, CostError)
        assert "--max-cost 0.0125; it was not made" in str(stopped)
        assert "run the same command with a higher --max-cost" in str(stopped)
        calls = server.num_calls
        assert 0 < len(got) <= calls
        assert 0 < calls < 30
        assert narrator.ledger.totals.counted_usd <= 0.0125
        # Taken up again with the same limit: what was paid comes from the cache, and no more.
        again = narrator_of(server, tmp_path, max_cost=0.0125)
        kept, stopped = drain(again.ask(tasks))
        assert isinstance(stopped, CostError)
        assert len(kept) == calls
        assert server.num_calls == calls
        assert again.ledger.totals == narrator.ledger.totals
        # With a higher one it ends.
        more = narrator_of(server, tmp_path, max_cost=1.0)
        assert len(list(more.ask(tasks))) == 30
        assert server.num_calls == 30


def test_a_limit_needs_prices(tmp_path):
    with openai_server(scripted({}, FINE)) as server:
        with pytest.raises(CostError, match=r"cost of .* is unknown.*prices.*or leave --max-cost"):
            narrator_of(server, tmp_path, max_cost=1.0, prices=False)
        narrator = narrator_of(server, tmp_path, prices=False)
        (reply,) = narrator.ask([make_task("describe")])
    assert reply.cost_usd is None
    assert narrator.ledger.totals.unknown == 1
    assert "cost unknown" in str(narrator.ledger.totals)


def test_a_server_that_counts_no_tokens(tmp_path):
    with openai_server(scripted({}, text("words", tokens=None))) as server:
        narrator = narrator_of(server, tmp_path)
        (reply,) = narrator.ask([make_task("describe")])
    assert (reply.problem, reply.cost_usd) == (None, None)
    (record,) = ledger_of(narrator)
    assert (record.input_tokens, record.cost_usd) == (None, None)
    assert record.counted_usd > 0


def test_failures_in_a_row_stop_the_run_and_are_asked_again(tmp_path):
    broken = [True]

    def answer(call):
        bad = broken[0] and int(call.prompt) >= 2
        return failure(400, "bad_request") if bad else text(f"reply {call.prompt}")

    tasks = [make_task(str(number)) for number in range(8)]
    with openai_server(answer) as server:
        narrator = narrator_of(server, tmp_path, max_failures=3)
        got, stopped = drain(narrator.ask(tasks))
        assert isinstance(stopped, NarratorError)
        assert "in a row failed (the last: server_error)" in str(stopped)
        assert [reply.text for reply in got] == ["reply 0", "reply 1"]
        broken[0] = False
        rest = list(narrator.ask(tasks[2:]))
    assert [reply.text for reply in rest] == [f"reply {number}" for number in range(2, 8)]


def test_a_few_failures_do_not_stop_it(tmp_path):
    with openai_server(scripted({"bad": [failure(400, "bad_request")]}, FINE)) as server:
        narrator = narrator_of(server, tmp_path, max_failures=3)
        prompts = ["bad 1", "bad 2", "good", "bad 3", "bad 4"]
        replies = list(narrator.ask([make_task(prompt) for prompt in prompts]))
    problems = [reply.problem for reply in replies]
    assert problems == ["server_error", "server_error", None, "server_error", "server_error"]


@pytest.mark.parametrize(("status", "code"), [(401, "invalid_api_key"), (404, "model_not_found")])
def test_a_provider_that_refuses_every_call_stops_the_run(tmp_path, status, code):
    with openai_server(scripted({"2": [failure(status, code)]}, FINE)) as server:
        narrator = narrator_of(server, tmp_path, max_connections=1)
        got, stopped = drain(narrator.ask([make_task(str(number)) for number in range(6)]))
        assert isinstance(stopped, NarratorError)
        assert "refuses every call" in str(stopped)
    assert len(got) == 2


def test_a_damaged_picture_says_which(tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    with openai_server(scripted({}, FINE)) as server:
        narrator = narrator_of(server, tmp_path)
        with pytest.raises(ImageError, match=r"bad\.jpg"):
            list(narrator.ask([make_task("describe", bad)]))


def test_nothing_secret_is_logged_or_recorded(tmp_path, picture, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "sk-very-secret")
    caplog.set_level(logging.DEBUG)
    script = {"wrong": [failure(500, "server_error")], "bad": [failure(400, "bad_request")]}
    with openai_server(scripted(script, FINE)) as server:
        narrator = narrator_of(server, tmp_path)
        prompts = ["wrong private words", "bad private words", "fine private words"]
        list(narrator.ask([make_task(prompt, picture) for prompt in prompts]))
    assert server.calls[0].headers["authorization"] == "Bearer sk-very-secret"
    sent = server.calls[0].images[0]
    said = caplog.text + narrator.ledger.path.read_text()
    assert "a call failed for good: server_error" in said
    for secret in ("sk-very-secret", "private words", "Jane", sent[40:80], sent[5000:5040]):
        assert secret not in said
