"""Servers that mean harm or are badly broken: pictures go nowhere else, and nothing hangs."""

import time

import pytest
from asked_narrator import FINE, drain, ledger_of, make_task, narrator_of
from openai_server import Answer, openai_server, scripted, text
from PIL import Image


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "a-secret-key")


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), "pink").save(path)
    return path


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_is_not_followed(tmp_path, picture, status):
    with openai_server(scripted({}, FINE)) as other:
        there = {"Location": f"http://user:pass@127.0.0.1:{other.server_port}/v1/chat/completions"}
        answer = Answer(status=status, headers=there)
        with openai_server(scripted({}, answer)) as server:
            narrator = narrator_of(server, tmp_path)
            got, error = drain(narrator.ask([make_task("describe", picture)]))
    assert other.num_calls == 0
    assert server.num_calls == 1
    assert got == []
    assert f"redirects to http://127.0.0.1:{other.server_port}; nothing was sent" in str(error)
    assert "pass" not in str(error).replace("passages", "")
    assert "a-secret-key" not in str(error)


def test_a_server_that_sends_a_byte_now_and_then_runs_into_the_time_limit(tmp_path, picture):
    slow = Answer(body=text("A red papule." * 40).body, drip_s=0.05)
    with openai_server(scripted({}, slow)) as server:
        narrator = narrator_of(server, tmp_path, timeout_s=1)
        began = time.monotonic()
        ((reply,), error) = drain(narrator.ask([make_task("describe", picture)]))
    assert error is None
    assert (reply.problem, reply.text) == ("timeout", "")
    assert time.monotonic() - began < 20  # the whole body takes half a minute
    (record,) = ledger_of(narrator)
    assert record.counted_usd > 0


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b'"text"', b"{}", b'{"choices": {}}', b'{"choices": [null]}',
             b"\xff\xfe", b"<html>login</html>", b"[" * 10_000]
)  # fmt: skip
def test_a_body_that_is_no_reply(tmp_path, picture, body):
    with openai_server(scripted({}, Answer(body=body))) as server:
        narrator = narrator_of(server, tmp_path)
        ((reply,), error) = drain(narrator.ask([make_task("describe", picture)]))
    assert error is None
    assert reply.text == ""
    assert reply.problem in {"server_error", "empty"}
