"""A run that is killed again and again pays for every text once, and ends with the same replies."""

import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import killed_narrator
from openai_server import openai_server, text

from skingpt_r1.llm.budget import read_totals

COUNT = 18
CONNECTIONS = 3


def answer(call):
    number = call.prompt.removeprefix("task ")
    return text(f"reply {number}", tokens=(10, int(number)), wait_s=0.15)


def run(server, folder, *, killed_after=None):
    """Run the program; kill it after so many calls more."""
    command = [sys.executable, killed_narrator.__file__, server.url, str(folder), str(COUNT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if killed_after is not None:
        most = server.num_calls + killed_after
        ready = threading.Event()
        while server.num_calls < most and process.poll() is None:
            ready.wait(0.02)
        process.kill()
    _, errors = process.communicate()
    return process.returncode, errors


def test_killed_and_started_again(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path))  # the program sets its own
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    rng = random.Random(4)
    with openai_server(answer) as server:
        killed_narrator.main(server.url, whole, COUNT)
        assert server.num_calls == COUNT
        server.calls.clear()
        kills = [rng.randint(2, 8) for _ in range(2)]
        for killed_after in kills:
            run(server, broken, killed_after=killed_after)
        killed_narrator.main(server.url, broken, COUNT)
        # Only what was under way when it was killed is asked for again.
        assert server.num_calls <= COUNT + CONNECTIONS * len(kills)
    assert replies_of(broken) == replies_of(whole)
    totals = read_totals(broken / "ledger.jsonl")
    assert COUNT - CONNECTIONS * len(kills) <= totals.calls <= server.num_calls
    assert read_totals(whole / "ledger.jsonl").calls == COUNT


def replies_of(folder: Path):
    lines = (folder / "replies.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
