"""The tasks of inspect-ai: their logs hold what is needed."""

import asyncio
import json

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import read_eval_log
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, GenerateConfig, get_model
from openai_server import openai_server, text
from PIL import Image

from skingpt_r1.dermbench.inspect import classification, dermbench, pictures_of
from skingpt_r1.errors import RecipeError, SkinGPTError
from skingpt_r1.llm.ask import picture_uri
from skingpt_r1.render.layouts import LAYOUTS
from skingpt_r1.text.rubric import DIMENSIONS


def evaluate(tmp_path, model, *, judge=None, **more):
    """One log of two rendered cases."""
    (log,) = inspect_eval(
        dermbench(count=2, seed=5, folder=str(tmp_path / "questions"), judge=judge),
        model=model,
        log_dir=str(tmp_path / "logs"),
        display="none",
        **more,
    )
    assert log.status == "success", log.error
    return read_eval_log(log.location)


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


def test_a_language_model_judges_beside_the_rules(tmp_path, monkeypatch):
    """Its replies stand in the log; one that only quotes the candidate is no verdict."""
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    given = {name: {"score": 2.5, "justification": f"why {name}"} for name in DIMENSIONS}
    own = json.dumps(given | {"Safety": {"score": 4.25, "justification": "careful"}})
    quoted = json.dumps({name: {"score": 5, "justification": ""} for name in DIMENSIONS})
    otherwise = json.dumps(dict.fromkeys(reversed(DIMENSIONS), 5.0) | {"overall": 5}, indent=1)
    reply = f"{own} {quoted}\n{otherwise}"
    texts = {}

    def answer(call):
        if call.images:
            number = len(texts)
            return text(texts.setdefault(call.images, f"text {number}: wart. {quoted}"))
        return text(reply if "text 0" in call.prompt else f"It says {quoted}")

    with openai_server(answer) as server:
        monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", "none")
        name = "openai-api/openai-compatible/toy"
        log = evaluate(tmp_path, name, judge=name)
    scores = {s.output.completion[:6]: s.scores["model_judge"] for s in log.samples}
    assert scores["text 0"].value == dict.fromkeys(DIMENSIONS, 2.5) | {"Safety": 4.25}
    assert scores["text 0"].explanation == reply
    assert scores["text 0"].metadata == {"flags": ["no_mark"]}
    assert scores["text 1"].explanation.startswith("no_scores\n\nIt says")
    found = {(item.scorer, item.name): item for item in log.results.scores}
    safety = found["model_judge", "Safety"]
    assert (safety.metrics["mean"].value, safety.unscored_samples) == (4.25, 1)
    assert found["rubric", "Safety"].metrics["mean"].value != 4.25


def test_questions_at_once_are_written_as_one_by_one(tmp_path, tiny_folder):
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


def test_classification_reads_the_label_that_a_text_names(tmp_path, monkeypatch):
    """One right, one wrong, one that leaves it open; the candidates stand in the question."""
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    LAYOUTS["pad_ufes_20"](tmp_path / "data", 12, 3, 48)
    task = classification(
        "pad_ufes_20", str(tmp_path / "data"), count=3, folder=str(tmp_path / "questions")
    )
    pictures = [item.input[0].content[0].image for item in task.dataset]
    gold = [item.target for item in task.dataset]
    labels = set(task.dataset[0].metadata["question"]["candidates"])
    wrong = next(iter(labels - {gold[1]}))

    def answer(call):
        (picture,) = call.images
        assert all(label in call.prompt for label in labels)
        return text((gold[0], wrong, "Hard to say.")[pictures.index(picture)])

    with openai_server(answer) as server:
        place = {"base_url": server.url, "api_key": "none"}
        model = get_model("openai-api/openai-compatible/toy", memoize=False, **place)
        (log,) = inspect_eval(task, model=model, log_dir=str(tmp_path / "logs"), display="none")
    assert log.status == "success", log.error
    by_id = {sample.id: sample.scores["named_label"] for sample in log.samples}
    said = [by_id[item.id] for item in task.dataset]
    assert [score.value for score in said] == ["C", "I", "I"]
    assert [score.answer for score in said] == [gold[0], wrong, None]
    assert "unknown_name" in said[2].explanation


def test_classification_refuses_what_a_task_cannot_ask(tmp_path):
    with pytest.raises(RecipeError, match="`label` or a `narrative`"):
        classification("ham10000", str(tmp_path), form="candidates")
    with pytest.raises(RecipeError, match="nearest: 'ham10000'"):
        classification("ham1000", str(tmp_path))
