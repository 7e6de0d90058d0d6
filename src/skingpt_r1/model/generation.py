"""Generation: the vocabulary bias on every token, greedy or sampled, in batches and streamed."""

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.contract import ConditionedModel
from skingpt_r1.model.families.qwen2_5_vl import TowerTokens, picture_outputs
from skingpt_r1.model.prompt import PromptBatch


class Decoding(BaseModel):
    """How text is generated.

    Attributes:
        max_new_tokens: upper bound on the answer.
        temperature: 0 is greedy.
        top_p: smallest set of tokens with this probability is kept; used when sampling.
        repetition_penalty: 1 is none.
        seed: of the sampling; the caller's random state is left as it was.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_new_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    repetition_penalty: float = Field(default=1.0, gt=0)
    seed: int = 42

    def generation_config(self, *, end_ids: list[int], pad_id: int) -> GenerationConfig:
        """The library's form of these settings."""
        sampling: dict[str, Any] = {}
        if self.temperature > 0:
            sampling = {"temperature": self.temperature, "top_p": self.top_p, "top_k": 0}
        return GenerationConfig(
            max_new_tokens=self.max_new_tokens,
            do_sample=self.temperature > 0,
            repetition_penalty=self.repetition_penalty,
            eos_token_id=end_ids,
            pad_token_id=pad_id,
            **sampling,
        )


class VocabularyBias(LogitsProcessor):  # type: ignore[misc]  # the library is untyped
    """Adds each case's vocabulary bias to the logits of every generated token."""

    def __init__(self, bias: Tensor) -> None:
        """Keep the bias, `[cases, V]`, computed once per case."""
        self.bias = bias

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`[rows, V]` to `[rows, V]`; rows may be a multiple of cases."""
        return scores + self.bias.repeat_interleave(len(scores) // len(self.bias), dim=0)


class FiniteLogits(LogitsProcessor):  # type: ignore[misc]  # the library is untyped
    """Stops at logits that are NaN or infinite, which would be read as the first token for ever."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`[rows, V]`, unchanged.

        Raises:
            CheckpointError: a logit is NaN or infinite; minus infinity bars a token, and some must
                be left.
        """
        refuse_numbers("logits", scores.amax(-1))  # NaN takes the place of the largest
        return scores


def refuse_numbers(name: str, values: Tensor) -> None:
    """Stop at model outputs that are not finite.

    Raises:
        CheckpointError: an element is NaN or infinite.
    """
    if not bool(values.isfinite().all()):
        raise CheckpointError(
            f"the model's {name} are not finite (NaN or infinity): its numbers overflow; load it "
            "in float32, or use other weights"
        )


@torch.no_grad()
def generate_ids(
    model: ConditionedModel,
    batch: PromptBatch,
    decoding: Decoding,
    *,
    bias: bool = True,
    tower: TowerTokens | None = None,
    processors: Sequence[LogitsProcessor] = (),
    **extras: Any,
) -> Tensor:
    """`[cases, new]`: generated token ids; rows that ended early are filled with the pad token.

    Args:
        model: any model; with a processor, its end-of-turn token also ends the text.
        batch: prompts, padded on the left.
        decoding: how to generate.
        bias: False asks the plain backbone.
        tower: what `tower_tokens()` gave, to spare the tower; the batch's pixels are then only
            read by a visual adapter that reads pixels.
        processors: change the logits after the bias, before sampling.
        **extras: handed to the backbone's `generate`: a streamer, stopping criteria.

    Raises:
        CheckpointError: the logits of a token are not finite.
    """
    batch = batch.to(model.device)
    end_ids, pad_id = _end_and_pad(model)
    with model.plain(bias), torch.random.fork_rng(enabled=decoding.temperature > 0):
        torch.manual_seed(decoding.seed) if decoding.temperature > 0 else None
        if tower is None:
            tower = model.tower_tokens(batch.pixel_values, batch.image_grid_thw)
        visual = model.look(batch.pixel_values, tower, batch.image_grid_thw)
        tokens = model.language_tokens(tower, visual, batch.image_grid_thw, bias=bias)
        shift = model.vocabulary_bias(visual.embedding, batch.images_per_case) if bias else None
        ids: Tensor = model.backbone.generate(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            position_ids=model.positions(
                batch.input_ids, batch.attention_mask, batch.image_grid_thw
            ),
            mm_encoder_outputs=picture_outputs(tokens),
            generation_config=decoding.generation_config(end_ids=end_ids, pad_id=pad_id),
            logits_processor=LogitsProcessorList(
                [*([] if shift is None else [VocabularyBias(shift)]), FiniteLogits(), *processors]
            ),
            **extras,
        )
    return ids[:, batch.input_ids.shape[1] :]


def _end_and_pad(model: ConditionedModel) -> tuple[list[int], int]:
    known = model.backbone.generation_config.eos_token_id
    ends = [] if known is None else [known] if isinstance(known, int) else list(known)
    if model.processor is not None and model.processor.end_id not in ends:
        ends.append(model.processor.end_id)
    pad = model.processor.pad_id if model.processor is not None else (ends or [0])[0]
    return ends, pad
