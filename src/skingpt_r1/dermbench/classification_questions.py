"""Questions of the classification benchmarks: the same words for every system, no fixed order.

Candidates stand in another order for every case, so that a system that likes the first one gains
nothing; the order depends on the seed and the case alone.
"""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from skingpt_r1.case import Case
from skingpt_r1.data import READERS
from skingpt_r1.dermbench.classification.labels import LabelSet, gold_labels
from skingpt_r1.dermbench.records import Form, Question
from skingpt_r1.dermcot.corpus_part import relative
from skingpt_r1.errors import DatasetError
from skingpt_r1.records import sha256_file
from skingpt_r1.text.phrases import ask, context_words

_KINDS = {
    "diagnosis": "diagnosis",
    "nine parts": "group of skin diseases",
    "malignancy": "answer",
}


def classification_questions(
    cases: Sequence[Case],
    labels: LabelSet,
    form: Form,
    *,
    root: Path,
    seed: int = 0,
    prompt: str | None = None,
) -> list[Question]:
    """One question for each case.

    A `narrative` is asked for in the words of our models; a `label` is asked for by name, with the
    candidates in the prompt unless the set is open; `candidates` asks for a narrative and has the
    candidates weighed after it.

    Args:
        cases: labelled, of the data set of the label set.
        labels: what they are sorted into.
        form: how is asked.
        root: the folder that the questions' picture paths begin at.
        seed: of the order of the candidates.
        prompt: in place of the words of our models, where a narrative is asked for.

    Raises:
        DatasetError: a case without a label of the set, or an id that appears twice.
    """
    counts = Counter(case.id for case in cases)
    repeated = [f"id {name!r} appears {count} times" for name, count in counts.items() if count > 1]
    if repeated:
        raise DatasetError("the cases of a benchmark must have unique ids", repeated)
    gold = gold_labels(cases, labels)
    info = READERS[labels.dataset].INFO
    questions = []
    for case in cases:
        candidates = shuffled_candidates(labels, case.id, seed, form)
        questions.append(
            Question(
                id=case.id,
                benchmark=labels.name,
                group=case.group,
                form=form,
                prompt=prompt or _prompt(case, labels, form, candidates),
                images=tuple(relative(path, root) for path in case.images),
                sha256=tuple(sha256_file(path) for path in case.images),
                label=gold[case.id],
                candidates=candidates,
                findings=dict(case.findings),
                fitzpatrick=case.fitzpatrick,
                tone=case.tone,
                licence=info.licence,
                embeddable=info.redistributable,
            )
        )
    return questions


def shuffled_candidates(labels: LabelSet, case: str, seed: int, form: Form) -> tuple[str, ...]:
    """The candidates of a case in its own order; all labels where they are weighed."""
    chosen = list(labels.labels if form == "candidates" else labels.candidates)
    random.Random(f"{seed}:{labels.name}:{case}").shuffle(chosen)
    return tuple(chosen)


def _prompt(case: Case, labels: LabelSet, form: Form, candidates: Sequence[str]) -> str:
    if form != "label":
        return ask(case.context)
    kind = _KINDS[labels.kind]
    if not candidates:
        question = f"Which {kind} fits the skin in this picture best? Give only its name."
    else:
        question = (
            f"Which {kind} fits the skin in this picture best? Give only one of these names: "
            f"{'; '.join(candidates)}."
        )
    return " ".join([question, *context_words(case.context)])
