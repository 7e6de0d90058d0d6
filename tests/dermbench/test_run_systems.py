"""Asking systems: resumed, counted once, nothing lost; against a server that misbehaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from openai_server import cut_connection, failure, openai_server, text, truncated_json
from small_bench import REPLY, bench_recipe

from skingpt_r1.dermbench.answers import (
    PROBLEMS,
    REPEATED,
    answers_path,
    read_answers,
    run_systems,
    settle_answers,
    system_names,
)
from skingpt_r1.dermbench.questions import read_questions
from skingpt_r1.dermbench.records import Answer
from skingpt_r1.dermbench.systems.card import read_card
from skingpt_r1.errors import CostError, DatasetError, NarratorError, RecordError, TrainingError
from skingpt_r1.llm.budget import read_totals
from skingpt_r1.records import append_records, read_records

CONTROLS = ("control/majority", "control/reference")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)


def lines(folder, system):
    return read_records(answers_path(folder, system), Answer)


def ids(folder):
    return [question.id for question in read_questions(folder)]


def test_every_question_of_every_system(tmp_path):
    tallies = run_systems(bench_recipe(systems=["control/majority"]), tmp_path, systems=CONTROLS)
    assert [tally.card.system for tally in tallies] == list(CONTROLS)
    for tally in tallies:
        assert (tally.asked, tally.answered, tally.problems) == (10, 10, {})
        assert [answer.id for answer in lines(tmp_path, tally.card.system)] == ids(tmp_path)
    assert system_names(tmp_path) == sorted(CONTROLS)
    assert str(tmp_path) not in answers_path(tmp_path, "control/majority").read_text()


def test_a_finished_run_loads_nothing(tmp_path, tiny_folder, monkeypatch):
    recipe = bench_recipe(data={"count": 5})
    model = f"tiny=skingpt/{tiny_folder}"
    (first,) = run_systems(recipe, tmp_path, systems=[model])
    assert first.answered + sum(first.problems.values()) == 5
    before = answers_path(tmp_path, "tiny").read_bytes()

    def refuse(*_args, **_more):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("skingpt_r1.model.load.load_model", refuse)
    (again,) = run_systems(recipe, tmp_path, systems=[model])
    assert again == first
    assert answers_path(tmp_path, "tiny").read_bytes() == before


def test_a_stopped_run_ends_as_one_that_was_not(tmp_path, tiny_folder):
    recipe, model = bench_recipe(), [f"tiny=skingpt/{tiny_folder}"]
    run_systems(recipe, tmp_path / "whole", systems=model)
    run_systems(recipe, tmp_path / "torn", systems=model)
    path = answers_path(tmp_path / "torn", "tiny")
    whole = path.read_bytes()
    for size in (len(whole) // 3, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:size])
        run_systems(recipe, tmp_path / "torn", systems=model)
        assert path.read_bytes() == whole
    assert answers_path(tmp_path / "whole", "tiny").read_bytes() == whole


def test_other_weights_under_the_same_name_are_refused(tmp_path, tiny_folder):
    recipe = bench_recipe(data={"count": 5})
    run_systems(recipe, tmp_path, systems=[f"m=skingpt/{tiny_folder}"])
    path = answers_path(tmp_path, "m")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(TrainingError, match="other weights than those that gave its answers"):
        run_systems(recipe, tmp_path, systems=["m=skingpt/nano"])
    assert len(read_card(tmp_path, "m").weights) == 64


def test_another_model_without_weights_under_the_same_name_is_refused(tmp_path):
    recipe = bench_recipe(data={"count": 5})
    run_systems(recipe, tmp_path, systems=["m=control/majority"])
    path = answers_path(tmp_path, "m")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    before = path.read_bytes()
    with pytest.raises(TrainingError, match="other weights than those that gave its answers"):
        run_systems(recipe, tmp_path, systems=["m=control/reference"])
    assert path.read_bytes() == before


@pytest.mark.parametrize("system", ["control/majority", "control-majority"])
def test_answers_of_others_are_refused(tmp_path, system):
    """Both names are those of one file."""
    recipe = bench_recipe()
    run_systems(recipe, tmp_path, systems=CONTROLS[:1])
    name = "nobody" if system == CONTROLS[0] else ids(tmp_path)[0]
    append_records(answers_path(tmp_path, system), [Answer(system=system, id=name, text="x")])
    with pytest.raises(RecordError, match="1 answers of another system or to other questions"):
        run_systems(recipe, tmp_path, systems=CONTROLS[:1])


def test_the_answer_that_counts(tmp_path):
    def said(name, words="", problem=None):
        return Answer(system="s", id=name, text=words, problem=problem)

    rows = [
        said("b", problem="timeout"),
        said("a", "one"),
        said("b", problem="connection"),
        said("c", problem="refusal"),
        said("b", "two"),
        said("b", problem="timeout"),
    ]
    append_records(answers_path(tmp_path, "s"), rows)
    counted = read_answers(tmp_path, "s")
    assert counted == {"a": rows[1], "b": rows[4], "c": rows[3]}
    assert settle_answers(tmp_path, "s", ["a", "b", "c", "d"]) == counted
    assert lines(tmp_path, "s") == [rows[1], rows[4], rows[3]]
    assert read_answers(tmp_path, "s") == counted
    assert read_answers(tmp_path, "nobody") == {}


def test_codes_have_words():
    assert set(PROBLEMS) >= REPEATED


def misbehaving(*wrong):
    """A server that answers the third and later attempts for a picture, and some at once."""
    seen = {}

    def answer(call):
        number = seen.setdefault(call.images, len(seen))
        attempts = sum(other.images == call.images for other in server.calls)
        broken = wrong[number] if number < len(wrong) else None
        return broken if broken is not None and attempts == 1 else text(REPLY)

    with openai_server(answer) as server:
        yield server


@pytest.fixture
def bad_server():
    yield from misbehaving(
        failure(500), None, failure(429, retry_after_ms="20"), cut_connection(), truncated_json(),
        text(None, refusal="No."), text(""), text("It begins", finish="length"),
    )  # fmt: skip


def test_failures_are_answers_and_are_asked_again(tmp_path, bad_server, monkeypatch):
    recipe, system = bench_recipe(), f"toy={bad_server.url}#toy-1"
    (first,) = run_systems(recipe, tmp_path, systems=[system])
    assert first.asked == 10
    assert first.answered + sum(first.problems.values()) == 10
    assert first.cut == 1
    assert set(first.problems) <= set(PROBLEMS)
    assert {"refusal", "empty"} <= set(first.problems)
    failed = [answer.id for answer in lines(tmp_path, "toy") if answer.problem in REPEATED]
    assert failed
    calls = bad_server.num_calls
    (second,) = run_systems(recipe, tmp_path, systems=[system])
    assert bad_server.num_calls == calls + len(failed)
    assert second.problems == {"refusal": 1, "empty": 1}
    assert second.answered == 8
    assert [answer.id for answer in lines(tmp_path, "toy")] == ids(tmp_path)
    calls = bad_server.num_calls
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "empty cache"))
    (third,) = run_systems(recipe, tmp_path, systems=[system])
    assert (third, bad_server.num_calls) == (second, calls)
    # The client repeats an attempt by itself before the ledger hears of a failure.
    totals = read_totals(tmp_path / "ledger.jsonl")
    assert totals.failed == len(failed)
    assert totals.calls - totals.failed == 10


def test_polite_words_are_no_refusal_and_a_refusal_is_kept(tmp_path):
    polite = "I'm sorry to hear that. I can't be certain, but the diagnosis is psoriasis."
    refusal = "I'm sorry, but I can't help with that."
    replies = {"polite": text(polite), "no": text(refusal), "long": text("a" * 200_000)}
    with openai_server(lambda call: replies[call.body["model"]]) as server:
        named = [f"{name}={server.url}#{name}" for name in replies]
        recipe = bench_recipe(data={"count": 2})
        tallies = {item.card.system: item for item in run_systems(recipe, tmp_path, systems=named)}
        calls = server.num_calls
        run_systems(recipe, tmp_path, systems=named)
        assert server.num_calls == calls
    kept = {name: {(a.problem, a.text) for a in lines(tmp_path, name)} for name in replies}
    assert kept["polite"] == {(None, polite)}
    assert kept["no"] == {("refusal", refusal)}
    assert kept["long"] == {("too_long", "a" * 200_000)}
    assert {name: tally.answered for name, tally in tallies.items()} == {
        "polite": 2, "no": 0, "long": 0,
    }  # fmt: skip


def test_a_cut_text_is_an_answer(tmp_path):
    with openai_server(lambda _: text("Observation: red", finish="length")) as server:
        run_systems(bench_recipe(data={"count": 2}), tmp_path, systems=[f"toy={server.url}#t"])
    for answer in lines(tmp_path, "toy"):
        assert (answer.text, answer.stop_reason) == ("Observation: red", "length")


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        (text(REPLY), REPLY),
        (text("<think> Only a thought. </think>"), "<think> Only a thought. </think>"),
        (
            text("<think>Red.</think>\nThe answer is wart"),
            "<think> Red. </think> The answer is wart",
        ),
        (text("It is a wart."), "It is a wart."),
    ],
)
def test_thinking_is_a_part_of_the_answer(tmp_path, reply, wanted):
    with openai_server(lambda _: reply) as server:
        run_systems(bench_recipe(data={"count": 2}), tmp_path, systems=[f"toy={server.url}#t"])
    assert {answer.text for answer in lines(tmp_path, "toy")} == {wanted}


def test_what_is_sent(tmp_path):
    with openai_server(lambda _: text(REPLY)) as server:
        run_systems(bench_recipe(data={"count": 2}), tmp_path, systems=[f"toy={server.url}#t"])
    for call in server.calls:
        assert call.prompt == read_questions(tmp_path)[0].prompt
        assert len(call.images) == 1
        assert call.body["temperature"] == 0
        assert "wart" not in call.prompt


def test_blank_pictures_cost_one_call(tmp_path):
    recipe = bench_recipe(calls={"max_connections": 1})
    with openai_server(lambda _: text(REPLY)) as server:
        run_systems(recipe, tmp_path, systems=[f"b=control/blank-images:{server.url}#t"])
        assert len({call.images for call in server.calls}) == 1
    assert len(lines(tmp_path, "b")) == 10


def test_a_dead_server_does_not_keep_others_from_being_asked(tmp_path):
    recipe = bench_recipe(calls={"max_failures": 3})
    with openai_server(lambda _: failure(401)) as server:
        systems = [f"toy={server.url}#t", "control/majority"]
        with pytest.raises(NarratorError, match="refuses every call"):
            run_systems(recipe, tmp_path, systems=systems)
    assert len(lines(tmp_path, "control/majority")) == 10
    assert read_answers(tmp_path, "toy") == {}


def test_the_cost_limit_is_kept(tmp_path):
    with openai_server(lambda _: text(REPLY)) as server:
        name = f"{server.url}#t"
        prices = {"prices": {name: {"input": 1.0, "output": 1.0}}, "max_connections": 1}
        recipe = bench_recipe(calls=prices)
        with pytest.raises(CostError, match="max-cost"):
            run_systems(recipe, tmp_path, systems=[f"toy={name}"], max_cost=0.0033)
        some = len(lines(tmp_path, "toy"))
        assert 0 < some == server.num_calls < 10
        run_systems(recipe, tmp_path, systems=[f"toy={name}"], max_cost=5)
        assert server.num_calls == 10


def test_an_unknown_provider_is_told_before_anything_is_asked(tmp_path):
    with pytest.raises(NarratorError, match="system 'nobody/x' cannot be asked"):
        run_systems(bench_recipe(), tmp_path, systems=["control/majority", "nobody/x"])
    assert read_answers(tmp_path, "control/majority") == {}


def test_a_changed_picture_stops_the_run(tmp_path):
    recipe = bench_recipe()
    run_systems(recipe, tmp_path, systems=CONTROLS[:1])
    next((tmp_path / "pictures/images").glob("*.png")).write_bytes(b"other")
    run_systems(recipe, tmp_path, systems=CONTROLS[:1])
    with pytest.raises(DatasetError, match="1 pictures have changed"):
        run_systems(recipe, tmp_path, systems=CONTROLS)


def test_a_killed_run_loses_no_reply_and_pays_none_twice(tmp_path, monkeypatch):
    """Killed twice between replies; every picture is answered once, and no reply is asked twice."""
    program = Path(__file__).with_name("killed_bench.py")
    with openai_server(lambda _: text(REPLY, wait_s=0.1)) as server:
        command = [sys.executable, str(program), server.url, str(tmp_path / "run")]
        environment = {**os.environ, "INSPECT_CACHE_DIR": str(tmp_path / "cache")}
        for least in (3, 6):
            child = subprocess.Popen(command, env=environment, start_new_session=True)
            path = answers_path(tmp_path / "run", "toy")
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and child.poll() is None:
                if path.exists() and len(path.read_bytes().splitlines()) >= least:
                    break
                time.sleep(0.01)
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        monkeypatch.setenv("INSPECT_CACHE_DIR", environment["INSPECT_CACHE_DIR"])
        recipe = bench_recipe(calls={"max_connections": 1})
        run_systems(recipe, tmp_path / "run", systems=[f"toy={server.url}#toy-1"])
        kept = lines(tmp_path / "run", "toy")
        assert [answer.id for answer in kept] == ids(tmp_path / "run")
        assert {answer.text for answer in kept} == {REPLY}
        # One call at a time: only the one in flight at each kill may be made again.
        assert 10 <= server.num_calls <= 12
