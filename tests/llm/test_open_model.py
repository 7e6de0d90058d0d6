"""Names of language models: what opens, and what is refused before any work."""

import subprocess
import sys

import pytest
from asked_narrator import FINE, make_task
from openai_server import openai_server, scripted

from skingpt_r1.errors import NarratorError
from skingpt_r1.llm.budget import ApiRecipe, CallsRecipe, Ledger
from skingpt_r1.llm.models import open_chat_model


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    for provider in ("OPENAI", "ANTHROPIC", "VLLM"):
        for variable in (f"{provider}_API_KEY", f"{provider}_BASE_URL"):
            monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("vllm/toy-1", "VLLM"),
        ("openai/gpt-4o", "OPENAI"),
        ("openai-api/hospital/toy-1", "HOSPITAL"),
    ],
)
def test_names_of_inspect_ai(tmp_path, monkeypatch, name, variable):
    with openai_server(scripted({}, FINE)) as server:
        monkeypatch.setenv(f"{variable}_BASE_URL", server.url)
        monkeypatch.setenv(f"{variable}_API_KEY", "sk-toy")
        ledger = Ledger(tmp_path / "ledger.jsonl")
        narrator = open_chat_model(name, api=ApiRecipe(), calls=CallsRecipe(), ledger=ledger)
        (reply,) = narrator.ask([make_task("describe")])
    assert reply.narrator == f"{name} [toy-1]"
    assert server.calls[0].headers["authorization"] == "Bearer sk-toy"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpt-5", "narrator 'gpt-5' is not known; allowed: offline"),
        ("nobody/gpt-5", "narrator 'nobody/gpt-5' is not known; allowed: offline"),
        ("openai/", "is not known"),
        ("openai/gpt-5", "OPENAI_API_KEY"),
        ("anthropic/claude-sonnet-4-5", "anthropic"),
        ("vllm/Qwen/Qwen2.5-VL-7B-Instruct", "named by the environment variable VLLM_BASE_URL"),
        ("http://127.0.0.1:1/v1", "is not of the form http(s)://host:port/v1#model"),
        ("ftp://127.0.0.1/v1#m", "is not of the form"),
        ("http://me:sk-secret@127.0.0.1/v1#m", "must hold no user, password or query"),
        ("http://127.0.0.1/v1?key=sk-secret#m", "must hold no user, password or query"),
    ],
)
def test_what_cannot_be_opened_is_said_before_any_work(tmp_path, name, message):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    with pytest.raises(NarratorError) as caught:
        open_chat_model(name, api=ApiRecipe(), calls=CallsRecipe(), ledger=ledger)
    assert message in str(caught.value)
    assert "sk-secret" not in str(caught.value)
    assert "[bold]" not in str(caught.value)
    assert not ledger.path.exists()


def test_the_package_is_needed_only_to_open_a_model():
    program = (
        "import sys\n"
        "sys.modules['inspect_ai'] = None\n"
        "from pathlib import Path\n"
        "import skingpt_r1.dermcot.narrators\n"
        "from skingpt_r1.llm.models import open_chat_model\n"
        "from skingpt_r1.llm.budget import ApiRecipe, CallsRecipe\n"
        "from skingpt_r1.llm.budget import Ledger\n"
        "ledger = Ledger(Path('ledger.jsonl'))\n"
        "open_chat_model('a/b', api=ApiRecipe(), calls=CallsRecipe(), ledger=ledger)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "needs the package inspect_ai" in done.stderr
    assert "pip install 'skingpt-r1[bench]'" in done.stderr


def test_importing_the_narrators_does_not_load_the_package():
    program = (
        "import sys, skingpt_r1.dermcot.narrators, skingpt_r1.llm.models\n"
        "assert not {'inspect_ai', 'openai', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
