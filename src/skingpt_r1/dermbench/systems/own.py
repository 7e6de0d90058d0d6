"""Models of this machine as systems: our adapters, with and without bias, and bare backbones.

Questions are decoded in fixed blocks, whatever was answered before: how a batch is put together can
change the last digit of a logit, so a run that was stopped asks the whole block again.

How likely a candidate label is, after the reasoning or at once, is the mean log-likelihood of the
tokens of `label </answer>`, so that a long name is not at a disadvantage; prompt, pictures and
reasoning are read once for all candidates.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skingpt_r1.dermbench.questions import Asked
from skingpt_r1.dermbench.recipe import LocalRecipe
from skingpt_r1.dermbench.records import Answer
from skingpt_r1.model.config import ANYWHERE, ModelRecipe
from skingpt_r1.records import sha256_file

if TYPE_CHECKING:
    from skingpt_r1.model.skingpt import SkinGPT


def candidate_probabilities(
    model: "SkinGPT", asked: Asked, text: str = "", *, adapters: bool = True
) -> dict[str, float]:
    """Candidate -> probability, in the order of the question: softmax of the scores.

    They are weighed in place of the answer in `text`, or right after the prompt when it is empty.
    The model has a processor; without `adapters` its frozen backbone is asked.

    Raises:
        SkinGPTError: the question has no candidates.
    """
    from skingpt_r1.model.generation import ANSWER_OPENS
    from skingpt_r1.model.prompt import Request

    question = asked.question
    request = Request(asked.pictures, question=question.prompt)
    reasoning = text.partition(ANSWER_OPENS)[0]
    weighed = model.weigh(request, reasoning, question.candidates, adapters=adapters)
    chances = {candidate.label: candidate.probability for candidate in weighed}
    return {label: chances[label.strip()] for label in question.candidates}


CUT = "length"
NO_PICTURE = "no_picture"

LoadModel = Callable[[str, bool], "SkinGPT"]


class LocalModel:
    """A model of this machine (`nano` or a directory), loaded at the first question.

    `adapters` false asks the frozen backbone.
    """

    def __init__(
        self, name: str, where: str, *, adapters: bool, recipe: LocalRecipe, load: LoadModel
    ) -> None:
        self.name = name
        self._where = where
        self._adapters = adapters
        self._recipe = recipe
        self._load = load

    def answer(self, asked: Sequence[Asked], done: Collection[str]) -> Iterator[Answer]:
        """Answers to what is not done, in order; see `named.System`."""
        size = self._recipe.batch_size
        for start in range(0, len(asked), size):
            block = asked[start : start + size]
            if any(item.question.id not in done for item in block):
                answers = self._block(block)
                yield from (answer for answer in answers if answer.id not in done)

    def _block(self, block: Sequence[Asked]) -> list[Answer]:
        seen = [item for item in block if item.pictures]
        written = iter(self._write(seen) if seen else ())
        return [
            next(written)
            if item.pictures
            else Answer(system=self.name, id=item.question.id, text="", problem=NO_PICTURE)
            for item in block
        ]

    def _write(self, block: Sequence[Asked]) -> list[Answer]:
        from skingpt_r1.model.generation import Decoding
        from skingpt_r1.model.prompt import Request

        model = self._load(self._where, self._adapters)
        requests = [Request(item.pictures, question=item.question.prompt) for item in block]
        decoding = Decoding(max_new_tokens=self._recipe.max_new_tokens)
        texts = model.write(requests, decoding=decoding, adapters=self._adapters)
        return [
            Answer(
                system=self.name,
                id=item.question.id,
                text=written.text if written.text.strip() else "",
                problem=None if written.text.strip() else "empty",
                stop_reason=CUT if written.is_cut else "stop",
                probabilities=(
                    candidate_probabilities(model, item, written.text, adapters=self._adapters)
                    if item.question.form == "candidates"
                    else None
                ),
                input_tokens=written.input_tokens,
                output_tokens=written.output_tokens,
            )
            for item, written in zip(block, texts, strict=True)
        ]


def one_model_at_a_time(models: ModelRecipe = ANYWHERE) -> LoadModel:
    """A function that loads models and keeps the last one, which several systems may share.

    Low-rank matrices are merged into the weights, unless the frozen backbone is asked.
    """
    kept: dict[tuple[str, bool], SkinGPT] = {}

    def load(where: str, adapters: bool) -> "SkinGPT":
        wanted = where, adapters
        if wanted not in kept:
            from skingpt_r1.model.adapters.text import merge_lora
            from skingpt_r1.model.load import load_model

            kept.clear()
            kept[wanted] = load_model(where, **models.model_dump())
            if adapters:
                merge_lora(kept[wanted].backbone)
        return kept[wanted]

    return load


def weights_sha256(where: str) -> str:
    """The hash of the weights that make a model what it is: its adapters', or the backbone's.

    Raises:
        CheckpointError: there is no such directory, or it holds no weights.
    """
    from skingpt_r1.model.backbone import find_directory
    from skingpt_r1.model.checkpoint import WEIGHTS_FILE, is_adapter
    from skingpt_r1.model.weight_files import weight_files, weights_revision

    folder = find_directory(where)
    if is_adapter(folder):
        return sha256_file(folder / WEIGHTS_FILE)
    return weights_revision(weight_files(folder))


def short_name(where: str) -> str:
    """A directory as a name: its last part, or of an adapter in a run's folder that of the run."""
    path = Path(where)
    named = path.absolute()
    return named.parent.name if named.name == "adapter" else named.name or where
