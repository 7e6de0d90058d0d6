"""A real HTTP server on the loopback address that speaks the OpenAI chat protocol, and misbehaves.

What it answers is a function of the call, so a test says in one place which call goes wrong. It
keeps every call, so a test can count them and look at what was sent.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Call(NamedTuple):
    """One request to the server.

    Attributes:
        number: of all requests, from 0.
        attempt: of the requests with this prompt, from 0.
        prompt: every text of every message.
        images: the data URIs.
        body: as sent.
        headers: as sent, names in lower case.
    """

    number: int
    attempt: int
    prompt: str
    images: tuple[str, ...]
    body: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What the server sends.

    Attributes:
        status: of HTTP.
        body: of the reply.
        headers: beyond type and length.
        wait_s: before anything is sent.
        cut: close the connection after so many bytes of the body; None sends all.
        drip_s: between the bytes of the body.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    cut: int | None = None
    drip_s: float = 0.0


def text(
    content: str | None,
    *,
    finish: str = "stop",
    refusal: str | None = None,
    tokens: tuple[int, int] | None = (100, 20),
    model: str = "toy-1",
    wait_s: float = 0.0,
) -> Answer:
    """A complete chat reply; `tokens` are those read and written, None leaves the usage out."""
    message = {"role": "assistant", "content": content, "refusal": refusal}
    reply: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
    }
    if tokens is not None:
        read, written = tokens
        total = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": sum(tokens)}
        reply["usage"] = total
    return Answer(body=json.dumps(reply).encode(), wait_s=wait_s)


def failure(status: int, code: str = "broken", **headers: str) -> Answer:
    """An error reply; `retry_after="1"` becomes the header `Retry-After: 1`."""
    body = {"error": {"message": f"simulated {code}", "type": code, "code": code, "param": None}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, body=json.dumps(body).encode(), headers=named)


def cut_connection(after: int = 40) -> Answer:
    """A reply whose connection breaks off in the middle of the body."""
    return Answer(body=text("cut").body, cut=after)


def truncated_json() -> Answer:
    """A reply that is whole for HTTP and half for JSON."""
    whole = text("half of it is missing").body
    return Answer(body=whole[: len(whole) // 2])


def scripted(script: Mapping[str, Sequence[Answer]], otherwise: Answer) -> Callable[[Call], Answer]:
    """Answers by a mark in the prompt and the attempt; the last answer of a mark repeats."""

    def answer(call: Call) -> Answer:
        for mark, answers in script.items():
            if mark in call.prompt:
                return answers[min(call.attempt, len(answers) - 1)]
        return otherwise

    return answer


class OpenAIServer(ThreadingHTTPServer):
    """Answers `POST .../chat/completions`; see `openai_server`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Callable[[Call], Answer], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self.calls: list[Call] = []
        self.running = 0
        self.most_at_once = 0
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """What a client is given as the base URL."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def num_calls(self) -> int:
        """Requests so far."""
        return len(self.calls)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the game."""

    def begin(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Call:
        """Count a request."""
        prompt, images = _contents(body)
        with self._lock:
            call = Call(len(self.calls), self._seen[prompt], prompt, images, body, headers)
            self._seen[prompt] += 1
            self.calls.append(call)
            self.running += 1
            self.most_at_once = max(self.most_at_once, self.running)
        return call

    def end(self) -> None:
        """A request is answered."""
        with self._lock:
            self.running -= 1


@contextmanager
def openai_server(answer: Callable[[Call], Answer], port: int = 0) -> Iterator[OpenAIServer]:
    """A running server; it is gone when the block ends."""
    server = OpenAIServer(answer, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: OpenAIServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.endswith("/chat/completions"):
            self._send(failure(404, "not_found"))
            return
        call = self.server.begin(body, {k.lower(): v for k, v in self.headers.items()})
        try:
            self._send(self.server.answer(call))
        finally:
            self.server.end()

    def _send(self, answer: Answer) -> None:
        time.sleep(answer.wait_s)
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        body = answer.body[: answer.cut]
        step = 1 if answer.drip_s else max(len(body), 1)
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            time.sleep(answer.drip_s)
        self.close_connection = answer.cut is not None

    def log_message(self, *args: Any) -> None:
        """Silence."""


def _contents(body: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    texts: list[str] = []
    images: list[str] = []
    for message in body["messages"]:
        content = message["content"]
        for part in [{"text": content}] if isinstance(content, str) else content:
            if "text" in part:
                texts.append(part["text"])
            elif "image_url" in part:
                images.append(part["image_url"]["url"])
    return "\n".join(texts), tuple(images)
