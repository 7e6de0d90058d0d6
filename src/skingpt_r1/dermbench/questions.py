"""The questions of a run: rendered cases, DermBench, a DermCoT corpus, or a classification set.

Every picture is opened before the first question is asked, so that no system is asked less than
another. Rendered pictures in the layout of a data set are told by their folder, and said to be so
with every question. A case whose picture is not there (the references of DermBench come without) is
a question without a picture: systems that must look answer it with the problem `no_picture`.

Questions of the classification benchmarks have the same words for every system. Candidates stand in
another order for every case, so that a system that likes the first one gains nothing; the order
depends on the seed and the case alone.
"""

import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from skingpt_r1.case import Case
from skingpt_r1.data import READERS, load_cases
from skingpt_r1.data.intake import open_image
from skingpt_r1.dermbench.classification.labels import LabelSet, find_label_set, gold_labels
from skingpt_r1.dermbench.recipe import SYNTHETIC, BenchRecipe, QuestionsRecipe
from skingpt_r1.dermbench.records import Form, Question
from skingpt_r1.dermcot.card import OWN_LICENCE, sources_of
from skingpt_r1.distill.data import choose, narratives_of
from skingpt_r1.errors import DatasetError, ImageError, RecipeError, RecordError
from skingpt_r1.records import read_json, read_records, sha256_file, start_run, write_bytes_atomic
from skingpt_r1.render.layouts import rendered_layout, write_cases
from skingpt_r1.runs import (
    RUN,
    Progress,
    changed_pictures,
    find_root,
    note_root,
    picture_name,
    picture_paths,
    same_root,
)
from skingpt_r1.text.wording import ask, context_words

_KINDS = {"diagnosis": "diagnosis", "nine parts": "group of skin diseases", "malignancy": "answer"}


def classification_questions(
    cases: Sequence[Case],
    labels: LabelSet,
    form: Form,
    *,
    root: Path,
    seed: int = 0,
    prompt: str | None = None,
) -> list[Question]:
    """One question for each labelled case of the data set of a label set.

    A `narrative` is asked for in the words of our models (or of `prompt`); a `label` is asked for
    by name, with the candidates in the prompt unless the set is open; `candidates` asks for a
    narrative and has the candidates weighed after it. Picture paths begin at `root`.

    Raises:
        DatasetError: a case without a label of the set, or an id that appears twice.
    """
    _refuse_repeated(cases)
    gold = gold_labels(cases, labels)
    info = READERS[labels.dataset]
    questions = []
    for case in cases:
        candidates = shuffled_candidates(labels, case.id, seed, form)
        asked = narrative_question(case, root, prompt or _prompt(case, labels, form, candidates))
        changes = {
            "benchmark": labels.name,
            "form": form,
            "label": gold[case.id],
            "candidates": candidates,
            "reference": None,
            "licence": info.licence,
            "embeddable": info.redistributable,
        }
        questions.append(asked.model_copy(update=changes))
    return questions


def shuffled_candidates(labels: LabelSet, case: str, seed: int, form: Form) -> tuple[str, ...]:
    """The candidates of a case in its own order; all labels where they are weighed."""
    chosen = list(labels.labels if form == "candidates" else labels.candidates)
    random.Random(f"{seed}:{labels.name}:{case}").shuffle(chosen)
    return tuple(chosen)


def _prompt(case: Case, labels: LabelSet, form: Form, candidates: Sequence[str]) -> str:
    if form != "label":
        return ask(case.context)
    names = f"one of these names: {'; '.join(candidates)}" if candidates else "its name"
    question = f"Which {_KINDS[labels.kind]} fits the skin in this picture best? Give only {names}."
    return " ".join([question, *context_words(case.context)])


logger = logging.getLogger(__name__)

DERMBENCH = "dermbench"
QUESTIONS = "questions.jsonl"
PICTURES = "pictures"
DERMCOT = "dermcot"
# Stands in the place of the data set's terms, so that nobody takes the pictures for the data set's.
RENDERED = f"{OWN_LICENCE}; rendered pictures in the layout of the data set"


class Asked(NamedTuple):
    """A question with the files that a system looks at; a control may have put others there."""

    question: Question
    pictures: tuple[Path, ...]


def prepare_questions(
    recipe: BenchRecipe, folder: Path, progress: Progress | None = None
) -> list[Question]:
    """The questions of a run's folder; made once, and read when the run goes on.

    Raises:
        DatasetError: problems of the data, all of them together.
        TrainingError: the folder belongs to another recipe, or its questions have changed.
    """
    path = folder / QUESTIONS
    if not (folder / RUN).exists():
        made = _make(recipe, folder, progress)
        write_bytes_atomic(path, "".join(item.model_dump_json() + "\n" for item in made).encode())
    questions = read_records(path, Question)
    start_run(
        folder,
        same_root(folder, recipe.identity, "data"),
        seed=recipe.seed,
        manifest={
            "questions": len(questions),
            "without a picture": sum(not item.images for item in questions),
            "without a reference": sum(item.reference is None for item in questions),
            "sha256": sha256_file(path),
        },
    )
    if recipe.data.root is not None:
        if recipe.data.root.resolve() != data_root(folder).resolve():
            refuse_changed_pictures(with_pictures(questions, recipe.data.root))
        note_root(folder, recipe.data.root)
    return questions


def read_questions(folder: Path) -> list[Question]:
    """The questions of a run that was begun.

    Raises:
        RecordError: the folder holds no benchmark run.
    """
    if not (folder / QUESTIONS).is_file():
        raise RecordError(
            f"{folder} holds no benchmark run; begin one with `skingpt bench run RECIPE --out DIR`"
        )
    return read_records(folder / QUESTIONS, Question)


def data_root(folder: Path) -> Path:
    """Where the pictures of a run's questions are; `Question.images` begin here."""
    recipe: dict[str, Any] = read_json(folder / RUN)["recipe"]
    root = recipe["data"]["root"]
    if root is None:
        return folder / PICTURES
    shown = next((item for item in read_questions(folder) if item.images), None)
    return find_root(folder, partial(_holds, shown)) or Path(root)


def move_data(folder: Path, root: Path) -> None:
    """Say where the pictures of a run have moved to.

    Raises:
        DatasetError: they are not there, or the run draws its own.
    """
    asked = with_pictures(read_questions(folder), root)
    if read_json(folder / RUN)["recipe"]["data"]["root"] is None:
        raise DatasetError(f"{folder} has its pictures within itself; leave out --data")
    refuse_changed_pictures(asked)
    note_root(folder, root)


def _holds(shown: Question | None, root: Path) -> bool:
    if shown is None:
        return root.is_dir()
    path = root / shown.images[0]
    return path.is_file() and sha256_file(path) == shown.sha256[0]


def with_pictures(questions: Sequence[Question], root: Path) -> list[Asked]:
    """The questions with their files."""
    return [Asked(item, picture_paths(item.images, root)) for item in questions]


def benchmark_title(question: Question) -> str:
    """What tables call the benchmark of a question: its name, and whether only its layout is."""
    rendered = question.licence == RENDERED
    return f"{question.benchmark} (rendered)" if rendered else question.benchmark


def refuse_changed_pictures(asked: Sequence[Asked]) -> None:
    """Stop when a picture is not the file that the questions were made with.

    Raises:
        DatasetError: pictures are gone or have changed; all of them.
    """
    problems = [
        problem
        for question, pictures in asked
        for problem in changed_pictures(f"question {question.id!r}", pictures, question.sha256)
    ]
    if problems:
        raise DatasetError(
            f"{len(problems)} pictures have changed or moved since the run was begun; put the "
            "files back, name their new folder (`bench run` with --set data.root=DIR, `bench "
            "judge` with --data DIR), or begin a new run in another folder",
            problems,
        )


def source_of(case: Case) -> tuple[str, str]:
    """Data set that a case first came from, and its group there."""
    if case.dataset != DERMCOT:
        return case.dataset, case.group
    source = case.attributes.get("source", case.dataset)
    return source, case.group.removeprefix(f"{source}/")


def cases_of(recipe: QuestionsRecipe, seed: int, folder: Path) -> list[Case]:
    """The labelled cases of a recipe's data; rendered ones get a written reference.

    Raises:
        DatasetError: problems of the data set, all of them; or no case is left.
    """
    if recipe.dataset == SYNTHETIC:
        assert recipe.count is not None
        drawn = write_cases(folder / PICTURES, recipe.count, recipe.seed, recipe.size)
        texts = narratives_of(drawn, source="written", seed=seed)
        return [replace(case, narrative=text) for case, text in zip(drawn, texts, strict=True)]
    assert recipe.root is not None
    cases = load_cases(recipe.dataset, recipe.root, allow_missing=recipe.allow_missing)
    part = [case for case in cases if case.split in (None, recipe.split)]
    labelled = [case for case in part if case.label is not None]
    if len(labelled) < len(part):
        logger.warning(
            "%d cases of %s have no label and are not asked about",
            len(part) - len(labelled),
            recipe.dataset,
        )
    if not labelled:
        raise DatasetError(
            f"{recipe.dataset} has no labelled case of the part {recipe.split}; it has "
            f"{len(cases)} cases in all; name another part with data.split"
        )
    return choose(labelled, recipe.count, recipe.seed)


def _make(recipe: BenchRecipe, folder: Path, progress: Progress | None) -> list[Question]:
    cases = cases_of(recipe.data, recipe.seed, folder)
    _refuse_repeated(cases)
    problems: list[str] = []
    for number, case in enumerate(cases, 1):
        problems += filter(None, map(_unreadable, _present(case)))
        if progress is not None:
            progress("questions", number, len(cases))
    if problems:
        raise DatasetError(f"{len(problems)} pictures of the benchmark cannot be read", problems)
    root = folder / PICTURES if recipe.data.root is None else recipe.data.root
    questions = _questions(cases, recipe, root)
    if rendered_layout(root) is not None:
        rendered = {"licence": RENDERED, "embeddable": True}
        questions = [item.model_copy(update=rendered) for item in questions]
    without = sum(not question.images for question in questions)
    if without:
        logger.warning("%d of %d questions have no picture", without, len(questions))
    return questions


def _questions(cases: list[Case], recipe: BenchRecipe, root: Path) -> list[Question]:
    if recipe.data.labels is not None:
        return classification_questions(
            cases,
            _labels_of(recipe.data),
            recipe.data.form,
            root=root,
            seed=recipe.seed,
            prompt=recipe.prompt,
        )
    sources = {source.name: source for source in sources_of({source_of(c)[0] for c in cases}, {})}
    questions = []
    for case in cases:
        source = sources[source_of(case)[0]]
        terms = {"licence": source.licence, "embeddable": source.redistributable}
        questions.append(narrative_question(case, root, recipe.prompt).model_copy(update=terms))
    return questions


def _labels_of(recipe: QuestionsRecipe) -> LabelSet:
    assert recipe.labels is not None
    labels = find_label_set(recipe.labels)
    if labels.dataset != recipe.dataset:
        raise RecipeError(
            f"data.labels: {recipe.labels!r} are labels of {labels.dataset}, and data.dataset is "
            f"{recipe.dataset}; name labels of the same data set, or leave them out"
        )
    return labels


def _present(case: Case) -> tuple[Path, ...]:
    return () if case.attributes.get("picture") == "absent" else case.images


def _refuse_repeated(cases: Sequence[Case]) -> None:
    counts = Counter(case.id for case in cases)
    repeated = [f"id {name!r} appears {count} times" for name, count in counts.items() if count > 1]
    if repeated:
        raise DatasetError("the cases of a benchmark must have unique ids", repeated)


def _unreadable(path: Path) -> str | None:
    try:
        open_image(path)
    except ImageError as error:
        return str(error)
    return None


def narrative_question(case: Case, root: Path, prompt: str | None = None) -> Question:
    """The question for a narrative about a case."""
    images = _present(case)
    return Question(
        id=case.id,
        benchmark=DERMBENCH,
        group=case.group,
        form="narrative",
        prompt=prompt or ask(case.context),
        images=tuple(picture_name(path, root) for path in images),
        sha256=tuple(sha256_file(path) for path in images),
        label=case.label or "",
        reference=case.narrative,
        findings=dict(case.findings),
        fitzpatrick=case.fitzpatrick,
        tone=case.tone,
    )
