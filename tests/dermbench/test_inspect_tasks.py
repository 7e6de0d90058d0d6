"""inspect-ai finds our task and our models by entry points; its log holds what is needed."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import read_eval_log
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, GenerateConfig, get_model
from openai_server import openai_server, text
from PIL import Image

from skingpt_r1.dermbench.inspect_provider import pictures_of
from skingpt_r1.dermbench.inspect_tasks import dermbench
from skingpt_r1.dermcot.data_uri import picture_uri
from skingpt_r1.errors import SkinGPTError
from skingpt_r1.rubric import DIMENSIONS

COMMAND = Path(sys.executable).with_name("inspect")


def named_in_metadata():
    return "skingpt_r1" in {point.name for point in entry_points(group="inspect_ai")}


def evaluate(tmp_path, model, **more):
    """One log of two rendered cases."""
    (log,) = inspect_eval(
        dermbench(count=2, seed=5, folder=str(tmp_path / "questions")),
        model=model,
        log_dir=str(tmp_path / "logs"),
        display="none",
        **more,
    )
    assert log.status == "success", log.error
    return read_eval_log(log.location)


@pytest.mark.skipif(not named_in_metadata(), reason="installed before it had entry points")
def test_the_command_finds_task_and_model(tmp_path, tiny_folder):
    environment = {**os.environ, "INSPECT_LOG_DIR": str(tmp_path / "logs")}
    arguments = ["eval", "skingpt_r1/dermbench", "--model", f"skingpt/{tiny_folder}"]
    options = ["-T", "count=2", "--max-tokens", "8", "--display", "none"]
    command = [str(COMMAND), *arguments, *options]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "logs").glob("*.eval")
    assert read_eval_log(str(path)).status == "success"


def test_the_log_holds_pictures_texts_and_verdicts(tmp_path, tiny_folder):
    log = evaluate(tmp_path, f"skingpt/{tiny_folder}", max_tokens=8)
    assert len(log.samples) == 2
    assert "not for diagnosis" in log.eval.metadata["notice"]
    for sample in log.samples:
        picture, asked = sample.input[0].content
        assert isinstance(picture, ContentImage)
        assert isinstance(asked, ContentText)
        assert sample.output.usage.output_tokens <= 8
        assert sample.scores["label_verdict"].value in ("C", "I")
        assert "the label is" in sample.scores["label_verdict"].explanation


def test_the_reference_as_an_answer_scores_high(tmp_path, monkeypatch):
    """Sent by a server as thinking and answer, which inspect-ai takes apart."""
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    task = dermbench(count=2, seed=5, folder=str(tmp_path / "questions"))
    reference = {item.input[0].content[0].image: item.target for item in task.dataset}
    with openai_server(lambda call: text(reference[call.images[0]])) as server:
        place = {"base_url": server.url, "api_key": "none"}
        model = get_model("openai-api/openai-compatible/toy", memoize=False, **place)
        log = evaluate(tmp_path, model)
    for sample in log.samples:
        assert sample.scores["label_verdict"].value == "C"
        scores = sample.scores["rubric"]
        assert scores.answer == sample.target
        assert set(scores.value) == set(DIMENSIONS)
        assert min(scores.value.values()) >= 4.8
        assert DIMENSIONS[0] in scores.explanation


def test_an_empty_reply_is_unscored_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    with openai_server(lambda _: text("")) as server:
        place = {"base_url": server.url, "api_key": "none"}
        model = get_model("openai-api/openai-compatible/toy", memoize=False, **place)
        log = evaluate(tmp_path, model)
    rubric = next(item for item in log.results.scores if item.scorer == "rubric")
    assert (rubric.scored_samples, rubric.unscored_samples) == (0, 2)
    assert {sample.scores["rubric"].explanation for sample in log.samples} == {"empty"}


def test_questions_at_once_are_written_as_one_by_one(tmp_path, tiny_folder):
    import asyncio

    folder = tmp_path / "pictures"
    folder.mkdir()
    asked = []
    for level in (40, 120, 200):
        Image.new("RGB", (56, 56), (level, 90, 90)).save(folder / f"{level}.png")
        picture = picture_uri(folder / f"{level}.png", 100)
        content = [ContentImage(image=picture), ContentText(text="Look.")]
        asked.append([ChatMessageUser(content=content)])
    config = GenerateConfig(max_tokens=6)

    async def together():
        model = get_model(f"skingpt/{tiny_folder}", memoize=False)
        outputs = await asyncio.gather(*(model.generate(item, config=config) for item in asked))
        return [output.completion for output in outputs]

    async def apart():
        model = get_model(f"skingpt/{tiny_folder}#plain", memoize=False)
        return [(await model.generate(item, config=config)).completion for item in asked]

    assert asyncio.run(together()) == asyncio.run(apart())


def test_pictures_lie_in_the_message(tmp_path):
    def message(where):
        return [ChatMessageUser(content=[ContentImage(image=where)])]

    path = tmp_path / "a.png"
    Image.new("RGB", (30, 20), (200, 10, 10)).save(path)
    (picture,) = pictures_of(message(picture_uri(path, 100)))
    assert picture.size == (30, 20)
    for where, problem in (
        ("https://example.org/a.png", "must lie in the message"),
        (str(path), "must lie in the message"),
        ("data:image/png;base64,???", "is not base64"),
    ):
        with pytest.raises(SkinGPTError, match=problem):
            list(pictures_of(message(where)))
