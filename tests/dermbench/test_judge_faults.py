"""A language model as judge that is killed at any moment, at a server with errors of every kind."""

import json
import multiprocessing
import random
import re
import signal
import time
from collections import Counter, defaultdict
from multiprocessing import forkserver
from pathlib import Path

import pytest
from killed_judge import CONNECTIONS, judge_run, judgements, write_run
from openai_server import cut_connection, failure, openai_server, text, truncated_json

from skingpt_r1.dermbench.judges.language_model import MOST_ATTEMPTS
from skingpt_r1.dermbench.reading import read_run
from skingpt_r1.llm.budget import PASSING, CallRecord
from skingpt_r1.records import read_records
from skingpt_r1.text.rubric import DIMENSIONS, REASONS

COUNT = 40
KILLS = 5
WAIT_S = 0.03


def verdict(value):
    said = {name: {"score": value, "justification": f"why {name}"} for name in DIMENSIONS}
    return text(json.dumps(said), wait_s=WAIT_S)


# Each goes wrong for 5 % of the cases. The first four pass by themselves once the server is well.
WRONG = {
    "server_error": failure(500, x_should_retry="false"),
    "rate_limited": failure(429, x_should_retry="false"),
    "connection": cut_connection(),
    "half a document": truncated_json(),
    "refusal": text("I'm sorry, but I can't help with that."),
    "empty": text(""),
    "no_scores": text("It is good."),
    "truncated": text("half", finish="length"),
    "out_of_range": verdict(7.0),
}
PASSED = 4
EXPECTED = {**{kind: kind for kind in WRONG}, "half a document": "server_error"}
EACH = COUNT * 5 // 100
NUMBERS = random.Random(5).sample(range(COUNT), EACH * len(WRONG))
KIND = {number: list(WRONG)[place // EACH] for place, number in enumerate(NUMBERS)}


def number_in(call):
    return int(re.search(r"text (\d+)\.", call.prompt)[1])


class Server:
    """Answers by the case; a case whose kind passes is scored once the server is well."""

    def __init__(self):
        self.well = False

    def __call__(self, call):
        number = number_in(call)
        kind = KIND.get(number)
        if kind is None or (self.well and list(WRONG).index(kind) < PASSED):
            return verdict(1.0 + number / 20)
        return WRONG[kind]


def is_reply(call):
    """Whether the server, when it was not well, gave a whole reply."""
    kind = KIND.get(number_in(call))
    return kind is None or list(WRONG).index(kind) >= PASSED


def counted(records):
    """(question, repeat) -> the record that counts."""
    found = {}
    for record in records:
        key = record.id, record.repeat
        if key not in found or found[key].scores is None:
            found[key] = record
    return found


@pytest.fixture
def cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_COMPATIBLE_API_KEY", raising=False)


@pytest.fixture
def processes(monkeypatch, cache_folder):
    """Makes processes that have loaded everything, so that each starts at once."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where what is loaded lies
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["loaded_judge"])
    forkserver.ensure_running()  # loads while the test begins
    return context


def kill_at_a_random_moment(processes, server, folder, rng):
    """Start it, and kill it some calls later; whether it was still running."""
    process = processes.Process(target=judge_run, args=(server.url, folder))
    process.start()
    most = server.num_calls + rng.randint(1, 26)
    while server.num_calls < most and process.is_alive():
        time.sleep(0.002)
    time.sleep(rng.uniform(0, WAIT_S))
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def test_killed_at_random_moments_it_ends_the_same(tmp_path, processes):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    rng = random.Random(11)
    answer = Server()
    with openai_server(answer) as server:
        for folder in (whole, broken):
            write_run(folder, COUNT)
        judge_run(server.url, whole)
        server.calls.clear()

        kills = sum(kill_at_a_random_moment(processes, server, broken, rng) for _ in range(KILLS))
        assert kills == KILLS
        judge_run(server.url, broken)
        one, two = judgements(server.url, whole), judgements(server.url, broken)
        assert counted(two) == counted(one)
        check_calls(server.calls, two, read_records(broken / "ledger.jsonl", CallRecord), kills)

        answer.well = True
        tallies = [judge_run(server.url, folder) for folder in (whole, broken)]
        assert tallies[0] == tallies[1]
        one, two = judgements(server.url, whole), judgements(server.url, broken)
        assert counted(two) == counted(one)
        calls = server.num_calls
        assert [judge_run(server.url, folder) for folder in (whole, broken)] == tallies
        assert server.num_calls == calls
    (ours,), (wanted,) = (read_run(folder).judged.values() for folder in (broken, whole))
    assert {name: one.scores for name, one in ours.items()} == {
        name: one.scores for name, one in wanted.items()
    }
    assert tallies[0].scored == COUNT - EACH * (len(WRONG) - PASSED)


def check_calls(calls, records, ledger, kills):
    """No reply is lost, and none is counted twice."""
    replies = Counter((number_in(call), call.body["seed"]) for call in calls if is_reply(call))
    # Only what was under way at a kill may be asked for again.
    assert sum(replies.values()) - len(replies) <= CONNECTIONS * kills
    read = defaultdict(int)
    for record in records:
        if record.unscored not in PASSING:
            read[int(record.id.removeprefix("q"))] += 1
    wanted = {n: MOST_ATTEMPTS if n in KIND else 1 for n, _ in replies}
    assert dict(read) == wanted
    assert len(replies) == sum(wanted.values())
    paid = sum(call.problem is None for call in ledger)
    assert len(replies) <= paid <= sum(replies.values())


def test_every_unscored_case_is_explained(tmp_path, cache_folder):
    write_run(tmp_path, COUNT)
    with openai_server(Server()) as server:
        tally = judge_run(server.url, tmp_path)
        found = counted(judgements(server.url, tmp_path))
    assert (tally.asked, tally.not_answered) == (COUNT, 0)
    assert tally.scored + sum(tally.unscored.values()) == COUNT
    assert tally.unscored == Counter(EXPECTED[kind] for kind in KIND.values())
    assert set(tally.unscored) <= {*REASONS, *PASSING}
    assert {record.id for record in found.values()} == {f"q{number}" for number in range(COUNT)}
    for number in range(COUNT):
        record = found[f"q{number}", 0]
        reason = EXPECTED[KIND[number]] if number in KIND else None
        assert (record.unscored, record.scores is None) == (reason, reason is not None)
