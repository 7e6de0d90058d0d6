"""The benchmarks as tasks of inspect-ai: `inspect eval skingpt_r1/dermbench --model ...`.

The log of `dermbench` holds pictures, narratives, the label's verdict, the scores of the rules with
their justifications and, with `-T judge=MODEL`, those of a language model with its reply. What
cannot be scored is counted by inspect-ai as unscored, with the reason. The log of `classification`
holds pictures, texts and the label that each text names, or why it names none.

Our models are a provider of inspect-ai: `--model skingpt/nano`, `skingpt/DIR`, `#plain`. Inspect
asks one question at a time, many at once; what waits together is decoded together.

Importing this module needs the extra `bench`.
Its entry point is this module: inspect-ai finds the tasks and the provider in it.
"""

import base64
import binascii
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    StopReason,
    get_model,
    modelapi,
)
from inspect_ai.scorer import Score, Scorer, Target, accuracy, mean, scorer, stderr
from inspect_ai.solver import TaskState, generate
from PIL import Image

from skingpt_r1.data.intake import open_image
from skingpt_r1.dermbench.classification.labels import find_label_set
from skingpt_r1.dermbench.classification.match import judge_label, match_answer
from skingpt_r1.dermbench.judgements import NO_REFERENCE
from skingpt_r1.dermbench.judges.judge import JudgeTask
from skingpt_r1.dermbench.judges.language_model import MOST_TOKENS, judge_prompt, read_verdict
from skingpt_r1.dermbench.judges.rules import RubricJudge
from skingpt_r1.dermbench.questions import data_root, prepare_questions, with_pictures
from skingpt_r1.dermbench.recipe import SYNTHETIC, BenchRecipe, LocalRecipe
from skingpt_r1.dermbench.records import Answer, Question
from skingpt_r1.dermbench.systems.named import PLAIN, is_plain, whole_text
from skingpt_r1.dermbench.systems.own import one_model_at_a_time
from skingpt_r1.errors import RecipeError, SkinGPTError
from skingpt_r1.llm.ask import picture_uri
from skingpt_r1.llm.models import thoughts_of
from skingpt_r1.model.config import AUTO, ModelRecipe
from skingpt_r1.recipes import check_recipe
from skingpt_r1.text.rubric import DIMENSIONS, Protocol, Unscored
from skingpt_r1.text.tokens import defused

if TYPE_CHECKING:
    from skingpt_r1.model.generation import GeneratedText
    from skingpt_r1.model.prompt import Request


DRAWN = 30
DRAWN_SEED = 9000
QUESTION = "question"


@task  # type: ignore[untyped-decorator]  # the library is not followed
def dermbench(
    dataset: str = SYNTHETIC,
    root: str | None = None,
    count: int | None = None,
    seed: int = DRAWN_SEED,
    folder: str = "runs/inspect",
    judge: str | None = None,
) -> Task:
    """Narratives against certified references.

    Args:
        dataset: `synthetic`, `dermbench`, `dermcot`, or another data set that has a reader.
        root: its folder.
        count: at most so many cases; by default all, or 30 drawn pictures of `synthetic`.
        seed: of the drawing and of the choice.
        folder: where the questions and drawn pictures go; one folder for each set of questions.
        judge: a language model that judges as well, as inspect-ai names it.
    """
    drawn = DRAWN if dataset == SYNTHETIC else None
    data = {"dataset": dataset, "root": root, "count": count or drawn, "seed": seed}
    scorers = [label_verdict(), rubric(), *([model_judge(judge)] if judge else [])]
    return _task("dermbench", dataset, data, folder, scorers)


@task  # type: ignore[untyped-decorator]
def classification(
    labels: str,
    root: str,
    form: str = "label",
    count: int | None = None,
    seed: int = DRAWN_SEED,
    allow_missing: bool = False,
    folder: str = "runs/inspect",
) -> Task:
    """Pictures of a data set sorted into its labels.

    Candidates that are weighed need the model's own probabilities; see `skingpt bench run`.

    Args:
        labels: a name of `labels.LABEL_SETS`; it names the data set, too.
        root: folder of the data set.
        form: `label` for a bare name, or `narrative` for one whose conclusion is read.
        count: at most so many cases.
        seed: of the choice and of the order of the candidates.
        allow_missing: go on without the files that are missing.
        folder: where the questions go; one folder for each set of questions.

    Raises:
        RecipeError: an unknown label set or form.
    """
    if form not in ("label", "narrative"):
        raise RecipeError(f"form={form}: a task asks for a `label` or a `narrative`")
    found = find_label_set(labels)
    data = {
        "dataset": found.dataset, "root": root, "labels": labels, "form": form, "count": count,
        "seed": seed, "allow_missing": allow_missing,
    }  # fmt: skip
    return _task("classification", labels, data, folder, [named_label(labels)])


def _task(
    name: str, subject: str, data: Mapping[str, object], folder: str, scorers: list[Scorer]
) -> Task:
    recipe = check_recipe(BenchRecipe, {"name": name, "data": data}, f"task {name}")
    mark = hashlib.sha256(json.dumps(recipe.identity, sort_keys=True).encode()).hexdigest()
    place = Path(folder) / f"{name}-{subject}-{mark[:8]}"
    questions = prepare_questions(recipe, place)
    return Task(
        dataset=MemoryDataset(make_samples(questions, data_root(place), recipe), name=subject),
        solver=generate(),
        scorer=scorers,
        metadata={
            "notice": "For research, not for diagnosis.",
            "questions without a picture, not asked": sum(not item.images for item in questions),
        },
    )


def make_samples(questions: Sequence[Question], root: Path, recipe: BenchRecipe) -> list[Sample]:
    """The questions that have a picture, as inspect-ai wants them; pictures are in the samples."""
    samples = []
    for question, pictures in with_pictures(questions, root):
        if pictures:
            side = recipe.api.longest_side
            images = [ContentImage(image=picture_uri(path, side)) for path in pictures]
            content = [*images, ContentText(text=defused(question.prompt))]
            samples.append(
                Sample(
                    id=question.id,
                    input=[ChatMessageUser(content=content)],
                    target=question.reference or question.label,
                    metadata={QUESTION: question.model_dump(mode="json")},
                )
            )
    return samples


@scorer(metrics=[accuracy(), stderr()])  # type: ignore[untyped-decorator]
def label_verdict() -> Scorer:
    """Whether the narrative concludes with the label or a synonym, and the verdict in words."""

    async def score(state: TaskState, target: Target) -> Score:
        question, answer = _read(state)
        verdict = judge_label(question, answer)
        return Score(
            value="C" if verdict.match.is_right else "I",
            answer=verdict.diagnosis,
            explanation=f"{verdict.match} (the label is {question.label!r})"
            + (f"; {verdict.reason}" if verdict.reason else ""),
        )

    return score


@scorer(metrics=[accuracy(), stderr()])  # type: ignore[untyped-decorator]
def named_label(labels: str) -> Scorer:
    """Whether the text names the right label of a set, and no other; see `match.py`."""
    chosen = find_label_set(labels)

    async def score(state: TaskState, target: Target) -> Score:
        question, answer = _read(state)
        named = match_answer(answer, chosen)
        said = f"{question.label!r} is right"
        return Score(
            value="C" if named.label == question.label else "I",
            answer=named.label,
            explanation=said if named.reason is None else f"{said}; {named.reason}",
        )

    return score


@scorer(metrics={"*": [mean(), stderr()]})  # type: ignore[untyped-decorator]
def rubric() -> Scorer:
    """Six scores by rules, against the reference; see `rules.py`."""
    judge = RubricJudge()

    async def score(state: TaskState, target: Target) -> Score:
        question, answer = _read(state)
        if question.reference is None:
            return _unscored(answer, NO_REFERENCE)
        (said,) = judge.judge([JudgeTask(question, answer, 0, ())])
        if said.scores is None:
            return _unscored(answer, said.unscored)
        lines = [f"{name}: {said.scores[name]:g} - {said.rationales[name]}" for name in DIMENSIONS]
        return Score(value=dict(said.scores), answer=answer.text, explanation="\n".join(lines))

    return score


@scorer(metrics={"*": [mean(), stderr()]})  # type: ignore[untyped-decorator]
def model_judge(model: str) -> Scorer:
    """Six scores from 0 to 5 by a language model, against the reference; see `named.py`.

    One verdict for each case, as it came: repeats, retries of what cannot be read and a limit of
    the cost are those of `skingpt bench judge`.
    """
    protocol = Protocol.DECIMAL_0_5

    async def score(state: TaskState, target: Target) -> Score:
        question, answer = _read(state)
        lack = answer.problem or (NO_REFERENCE if question.reference is None else None)
        if lack is not None:
            return _unscored(answer, lack)
        prompt = judge_prompt(answer.text, question.reference or "", protocol)
        config = GenerateConfig(max_tokens=MOST_TOKENS)
        reply = (await get_model(model).generate(prompt.text, config=config)).completion
        verdict = read_verdict(reply, answer.text, protocol, mark=prompt.mark)
        if isinstance(verdict, Unscored):
            return _unscored(answer, f"{verdict.reason}\n\n{reply}")
        value = dict(zip(DIMENSIONS, verdict.values, strict=True))
        flags = {"flags": list(verdict.flags)}
        return Score(value=value, answer=answer.text, explanation=reply, metadata=flags)

    return score


def _unscored(answer: Answer, reason: str | None) -> Score:
    return Score.unscored(answer=answer.text, explanation=reason)


def _read(state: TaskState) -> tuple[Question, Answer]:
    question = Question.model_validate_json(json.dumps(state.metadata[QUESTION]))
    text = whole_text(thoughts_of(state.output), state.output.completion)
    answer = Answer(
        system=str(state.model),
        id=question.id,
        text=text,
        problem=None if text.strip() else "empty",
    )
    return question, answer


PROVIDER = "skingpt"


@modelapi(name=PROVIDER)
class SkinGPTAPI(ModelAPI):  # type: ignore[misc]  # the library is not followed
    """A model of this machine, greedy whatever temperature is asked for.

    Args:
        model_name: `nano` or a directory, with `#plain` for the backbone without its adapters.
        base_url: not used, as is `api_key`.
        config: `max_tokens` and `max_connections` are read; see inspect-ai.
        device: `auto`, `cpu`, `cuda`, ...
        dtype: `auto`, `fp32`, `bf16` or `fp16`.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        *,
        device: str = AUTO,
        dtype: str = AUTO,
    ) -> None:
        super().__init__(model_name, base_url, None, [], config or GenerateConfig())
        self._where = model_name.removesuffix(PLAIN)
        self._adapters = not is_plain(model_name)
        self._load = one_model_at_a_time(ModelRecipe(device=device, dtype=dtype))
        asked = config.max_connections if config else None
        self._together = asked or LocalRecipe().batch_size
        self._waiting: list[_Slot] = []
        self._lock = anyio.Lock()

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002 - the name of the interface
        tools: Any,
        tool_choice: Any,
        config: GenerateConfig,
    ) -> ModelOutput:
        """One text, written together with those that wait at the same time."""
        from skingpt_r1.model.prompt import Request

        if tools:
            raise SkinGPTError(f"{PROVIDER}/{self._where} calls no tools; ask it without them")
        question = "\n".join(message.text for message in input if message.text)
        request = Request(tuple(pictures_of(input)), question=question)
        slot = _Slot(request, config.max_tokens or LocalRecipe().max_new_tokens)
        self._waiting.append(slot)
        async with self._lock:
            if slot.written is None:
                await self._write(slot)
        assert slot.written is not None
        return _output(f"{PROVIDER}/{self.model_name}", slot.written)

    def max_connections(self) -> int:
        """As many as are decoded together."""
        return int(self._together)

    async def _write(self, first: "_Slot") -> None:
        """Write the first of those that wait, and with it those that may be as long."""
        await anyio.sleep(0)  # those that were asked at the same moment get in line
        same = [slot for slot in self._waiting if slot.most == first.most]
        batch = [first, *(slot for slot in same if slot is not first)][: self._together]
        requests = [slot.request for slot in batch]
        try:
            texts = await anyio.to_thread.run_sync(self._texts, requests, first.most)
            for slot, written in zip(batch, texts, strict=True):
                slot.written = written
        finally:
            # After a failure the others try for themselves, so that one fails alone.
            done = [slot for slot in batch if slot.written is not None or slot is first]
            self._waiting = [slot for slot in self._waiting if slot not in done]

    def _texts(self, requests: "Sequence[Request]", most: int) -> "list[GeneratedText]":
        from skingpt_r1.model.generation import Decoding

        model = self._load(self._where, self._adapters)
        decoding = Decoding(max_new_tokens=most)
        return model.write(requests, decoding=decoding, adapters=self._adapters)


@dataclass(eq=False)
class _Slot:
    """A question that waits, and its text when there is one."""

    request: "Request"
    most: int
    written: "GeneratedText | None" = None


def pictures_of(messages: Sequence[ChatMessage]) -> Iterator[Image.Image]:
    """The pictures of a conversation, in order.

    Raises:
        SkinGPTError: a picture is not in its message.
        ImageError: a picture cannot be read.
    """
    for message in messages:
        for part in message.content if isinstance(message.content, list) else ():
            if isinstance(part, ContentImage):
                yield _picture(part.image)


def _picture(where: str) -> Image.Image:
    """A picture that lies in the message; inspect-ai puts files there before it asks a provider."""
    head, sign, content = where.partition(";base64,")
    if not sign or not head.startswith("data:"):
        raise SkinGPTError("a picture must lie in the message, as a data URI in base64")
    with tempfile.NamedTemporaryFile(prefix="skingpt-") as file:
        try:
            file.write(base64.b64decode(content, validate=True))
        except binascii.Error as error:
            raise SkinGPTError("a picture in the message is not base64; send it again") from error
        file.flush()
        return open_image(file.name)


def _output(model: str, written: "GeneratedText") -> ModelOutput:
    stop_reason: StopReason = "max_tokens" if written.is_cut else "stop"
    message = ChatMessageAssistant(content=written.text, model=model, source="generate")
    read, wrote = written.input_tokens, written.output_tokens
    return ModelOutput(
        model=model,
        choices=[ChatCompletionChoice(message=message, stop_reason=stop_reason)],
        usage=ModelUsage(input_tokens=read, output_tokens=wrote, total_tokens=read + wrote),
    )
