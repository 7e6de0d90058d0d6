"""Second and third stage: the language model learns to write, and then to read.

First it talks about scenes and writes dermatology prose, then it compares texts. The schooled tower
stands still and its tokens are computed once; merger and language model learn.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tools.nano.dense_tower import dense_tokens
from tools.nano.muon import schooling_optimizers
from tools.nano.prose import Turn, critique_turn, dermatology_turn, general_turn
from tools.nano.reading import reading_turn
from tools.nano.scenes import ATTRIBUTES
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast, Qwen2_5_VLForConditionalGeneration

log = logging.getLogger(__name__)
WriteTurn = Callable[[Mapping[str, str], random.Random], Turn]
SHARES: Mapping[WriteTurn, float] = {
    general_turn: 0.52,
    dermatology_turn: 0.42,
    critique_turn: 0.06,
}
# Of the third stage; what was learned before goes on, so that it is not forgotten.
READING_SHARES: Mapping[WriteTurn, float] = {
    reading_turn: 0.66, general_turn: 0.16, dermatology_turn: 0.15, critique_turn: 0.03,
}  # fmt: skip
# Turns with more tokens than this, which are verdicts, are padded apart from the others.
LONG = 240


def attributes_of(row: Sequence[int]) -> dict[str, str]:
    """The attribute names of a label row of the pool."""
    return {name: v[i] for (name, v), i in zip(ATTRIBUTES.items(), row, strict=True)}


def draw_turn(
    scene: dict[str, str], rng: random.Random, shares: Mapping[WriteTurn, float] = SHARES
) -> Turn:
    """One training turn of the kinds that a stage has."""
    (write,) = rng.choices(list(shares), list(shares.values()))
    return write(scene, rng)


@torch.no_grad()
def store_tokens(visual: nn.Module, pictures: NDArray[np.uint8], count: int) -> Tensor:
    """Tower tokens before the merger of the first `count` scenes, float16."""
    blocks = []
    for start in range(0, count, 100):
        images = torch.from_numpy(np.array(pictures[start : min(start + 100, count)]))
        blocks.append(dense_tokens(visual, images).half())
    return torch.cat(blocks)


def encode_turn(
    tokenizer: PreTrainedTokenizerFast, turn: Turn, image_tokens: int
) -> tuple[list[int], int]:
    """Token ids of a whole turn, and how many of them are the prompt."""
    question, answer = turn
    content = [{"type": "image"}, {"type": "text", "text": question}]
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    ).replace("<|image_pad|>", "<|image_pad|>" * image_tokens)
    start: list[int] = tokenizer(prompt)["input_ids"]
    return start + tokenizer(answer + "<|im_end|>")["input_ids"], len(start)


def school_language(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    tokens: Tensor,
    labels: Tensor,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    muon_rate: float,
    seed: int,
    shares: Mapping[WriteTurn, float] = SHARES,
) -> float:
    """Train merger, language model and output layer on stored tower tokens.

    Returns:
        Mean loss per answer token over the last hundred steps.
    """
    model.model.visual.requires_grad_(False)
    model.model.visual.merger.requires_grad_(True)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizers, schedules = schooling_optimizers(
        model, (), learning_rate=learning_rate, muon_rate=muon_rate, steps=steps
    )
    rng, scenes = random.Random(seed), [attributes_of(row) for row in labels.tolist()]
    losses: list[float] = []
    for step in range(steps):
        rows = rng.sample(range(len(tokens)), batch)
        turns = [draw_turn(scenes[row], rng, shares) for row in rows]
        loss = _loss(model, tokenizer, tokens[rows], turns)
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(weights, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        for schedule in schedules:
            schedule.step()
        losses.append(loss.item())
        if step % 50 == 0:
            log.info("language step %d of %d: loss %.3f", step, steps, np.mean(losses[-50:]))
    return float(np.mean(losses[-100:]))


def _loss(
    model: Qwen2_5_VLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    tokens: Tensor,
    turns: list[Turn],
) -> Tensor:
    """Mean cross-entropy over the answer tokens of all turns."""
    encoded = [encode_turn(tokenizer, turn, tokens.shape[1] // 4) for turn in turns]
    total, count = tokens.new_zeros((), dtype=torch.float32), 0
    for is_long in (False, True):
        rows = [row for row, (ids, _) in enumerate(encoded) if (len(ids) > LONG) is is_long]
        if rows:
            part = [encoded[row] for row in rows]
            total = total + _total_loss(model, tokens[rows].float(), part)
            count += sum(len(ids) - start for ids, start in part)
    return total / count


def _total_loss(
    model: Qwen2_5_VLForConditionalGeneration, tokens: Tensor, encoded: list[tuple[list[int], int]]
) -> Tensor:
    width = max(len(ids) for ids, _ in encoded)
    ids = torch.full((len(encoded), width), model.config.text_config.pad_token_id)
    targets = torch.full_like(ids, -100)
    for row, (turn_ids, start) in enumerate(encoded):
        ids[row, : len(turn_ids)] = torch.tensor(turn_ids)
        targets[row, start : len(turn_ids)] = ids[row, start : len(turn_ids)]
    hidden = _hidden(model, tokens, ids)
    asked = targets[:, 1:] != -100
    logits = model.lm_head(hidden[:, :-1][asked])
    return nn.functional.cross_entropy(logits, targets[:, 1:][asked], reduction="sum")


def _hidden(model: Qwen2_5_VLForConditionalGeneration, tokens: Tensor, ids: Tensor) -> Tensor:
    merged = model.model.visual.merger(tokens.flatten(0, 1))
    embeds = model.model.get_input_embeddings()(ids)
    image = ids == model.config.image_token_id
    embeds = embeds.masked_scatter(image[..., None], merged)
    side = int(tokens.shape[1] ** 0.5)
    grids = torch.tensor([[1, side, side]] * len(ids))
    positions, _ = model.model.get_rope_index(
        ids, mm_token_type_ids=image.int(), image_grid_thw=grids
    )
    # Padding lies on the right, so the causal mask alone keeps it from being read.
    output = model.model.language_model(inputs_embeds=embeds, position_ids=positions)
    hidden: Tensor = output.last_hidden_state
    return hidden
