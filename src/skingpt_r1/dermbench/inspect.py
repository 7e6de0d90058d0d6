"""The benchmarks as tasks of inspect-ai: `inspect eval skingpt_r1/dermbench --model ...`.

The log of `dermbench` holds pictures, narratives, the label's verdict, the scores of the rules with
their justifications and, with `-T judge=MODEL`, those of a language model with its reply. What
cannot be scored is counted by inspect-ai as unscored, with the reason. The log of `classification`
holds pictures, texts and the label that each text names, or why it names none.

Importing this module needs the extra `bench`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    get_model,
)
from inspect_ai.scorer import Score, Scorer, Target, accuracy, mean, scorer, stderr
from inspect_ai.solver import TaskState, generate

from skingpt_r1.dermbench.classification.label_verdict import judge_label
from skingpt_r1.dermbench.classification.labels import find_label_set
from skingpt_r1.dermbench.classification.match import match_answer
from skingpt_r1.dermbench.judgements import NO_REFERENCE
from skingpt_r1.dermbench.judges.judge import JudgeTask
from skingpt_r1.dermbench.judges.judge_prompt import judge_prompt
from skingpt_r1.dermbench.judges.language_model import MOST_TOKENS, read_verdict
from skingpt_r1.dermbench.judges.rules import RubricJudge
from skingpt_r1.dermbench.questions import data_root, prepare_questions, with_pictures
from skingpt_r1.dermbench.recipe import SYNTHETIC, BenchRecipe
from skingpt_r1.dermbench.records import Answer, Question
from skingpt_r1.dermbench.systems.language_model import whole_text
from skingpt_r1.errors import RecipeError
from skingpt_r1.llm.data_uri import picture_uri
from skingpt_r1.llm.models import thoughts_of
from skingpt_r1.recipes import check_recipe
from skingpt_r1.text.rubric import DIMENSIONS, Protocol, Unscored
from skingpt_r1.text.tokens import defused

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
        count: at most so many cases; 30 pictures are drawn of `synthetic`.
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
        labels: a name of `label_sets.LABEL_SETS`; it names the data set, too.
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
    """Whether the text names the right label of a set, and no other; see `match.py`.

    Args:
        labels: a name of `label_sets.LABEL_SETS`.
    """
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
            return Score.unscored(answer=answer.text, explanation=NO_REFERENCE)
        (said,) = judge.judge([JudgeTask(question, answer, 0, ())])
        if said.scores is None:
            return Score.unscored(answer=answer.text, explanation=said.unscored)
        lines = [f"{name}: {said.scores[name]:g} - {said.rationales[name]}" for name in DIMENSIONS]
        return Score(value=dict(said.scores), answer=answer.text, explanation="\n".join(lines))

    return score


@scorer(metrics={"*": [mean(), stderr()]})  # type: ignore[untyped-decorator]
def model_judge(model: str) -> Scorer:
    """Six scores from 0 to 5 by a language model, against the reference; see `judge_prompt.py`.

    One verdict for each case, as it came: repeats, retries of what cannot be read and a limit of
    the cost are those of `skingpt bench judge`.

    Args:
        model: as inspect-ai names it.
    """
    protocol = Protocol.DECIMAL_0_5

    async def score(state: TaskState, target: Target) -> Score:
        question, answer = _read(state)
        lack = answer.problem or (NO_REFERENCE if question.reference is None else None)
        if lack is not None:
            return Score.unscored(answer=answer.text, explanation=lack)
        prompt = judge_prompt(answer.text, question.reference or "", protocol)
        config = GenerateConfig(max_tokens=MOST_TOKENS)
        reply = (await get_model(model).generate(prompt.text, config=config)).completion
        verdict = read_verdict(reply, answer.text, protocol, mark=prompt.mark)
        if isinstance(verdict, Unscored):
            return Score.unscored(answer=answer.text, explanation=f"{verdict.reason}\n\n{reply}")
        value = dict(zip(DIMENSIONS, verdict.values, strict=True))
        flags = {"flags": list(verdict.flags)}
        return Score(value=value, answer=answer.text, explanation=reply, metadata=flags)

    return score


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
