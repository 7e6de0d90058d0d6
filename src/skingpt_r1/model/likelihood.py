"""How likely candidate answers are: what they share is read once, for all of them."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from skingpt_r1.model.contract import ConditionedModel
from skingpt_r1.model.families.qwen2_5_vl import picture_outputs
from skingpt_r1.model.generation import refuse_numbers
from skingpt_r1.model.prompt import PromptBatch

TOKENS_PER_PASS = 512  # of answers read together; memory only, results do not depend on it


@torch.no_grad()
def score_answers(
    model: ConditionedModel,
    batch: PromptBatch,
    opening: Sequence[int],
    answers: Sequence[Sequence[int]],
    *,
    bias: bool,
) -> Tensor:
    """`[answers]`: mean log-likelihood per token of each answer after one prompt and an opening.

    The prompt, its pictures and the opening run through the backbone once; their keys and values
    stay in the cache. The answers then run side by side in one row, each seeing that and itself.

    Args:
        model: any model.
        batch: one prompt.
        opening: tokens that every answer follows, such as a reasoning.
        answers: tokens of each answer, none of them empty.
        bias: False asks the plain backbone.

    Raises:
        CheckpointError: a likelihood is not finite.
    """
    prefix = torch.cat([batch.input_ids[0], torch.tensor(opening, dtype=torch.long)])
    batch = batch.to(model.device)
    with model.plain(bias):
        tower = model.tower_tokens(batch.pixel_values, batch.image_grid_thw)
        visual = model.look(batch.pixel_values, tower, batch.image_grid_thw)
        tokens = model.language_tokens(tower, visual, batch.image_grid_thw, bias=bias)
        shift = model.vocabulary_bias(visual.embedding, batch.images_per_case) if bias else None
        ids = prefix[None].to(model.device)
        longest = max(len(answer) for answer in answers)
        places = _positions(model, ids, batch.image_grid_thw, longest)
        first = model.backbone.model(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            position_ids=places[..., : ids.shape[1]],
            mm_encoder_outputs=picture_outputs(tokens),
            past_key_values=DynamicCache(config=model.backbone.config.get_text_config()),
            use_cache=True,
        )
        last = first.last_hidden_state[:, -1]
        sums = [
            _sums(model, first.past_key_values, last, group, places, shift)
            for group in _groups(answers)
        ]
    lengths = torch.tensor([len(answer) for answer in answers])
    likelihoods = torch.cat(sums).cpu() / lengths
    refuse_numbers("likelihoods", likelihoods)
    return likelihoods


def _positions(model: ConditionedModel, ids: Tensor, grids: Tensor, longest: int) -> Tensor:
    """`[3, 1, prefix + longest]`: the places of the prefix and of any answer behind it."""
    # The prefix ends in text, so any text token stands for the answers to come.
    whole = torch.cat([ids, ids[:, -1:].expand(1, longest)], dim=1)
    return model.positions(whole, torch.ones_like(whole), grids)


def _groups(answers: Sequence[Sequence[int]]) -> Iterator[list[Sequence[int]]]:
    """The answers in order, as many together as `TOKENS_PER_PASS` allows."""
    group: list[Sequence[int]] = []
    count = 0
    for answer in answers:
        if group and count + len(answer) > TOKENS_PER_PASS:
            yield group
            group, count = [], 0
        group.append(answer)
        count += len(answer)
    yield group


def _sums(
    model: ConditionedModel,
    cache: DynamicCache,
    last: Tensor,
    answers: Sequence[Sequence[int]],
    places: Tensor,
    shift: Tensor | None,
) -> Tensor:
    """`[answers]`: log-likelihood of each answer; the cache is left as it was."""
    length = cache.get_seq_length()
    states = last.expand(len(answers), -1)
    owner = torch.arange(len(answers))
    targets = torch.tensor([answer[0] for answer in answers])
    # The last token of an answer is predicted and never read.
    read = [answer[:-1] for answer in answers]
    if any(read):
        inside = torch.cat([torch.full((len(row),), n) for n, row in enumerate(read)])
        offset = torch.cat([torch.arange(len(row)) for row in read])
        output = model.backbone.model(
            input_ids=torch.tensor([[token for row in read for token in row]]).to(model.device),
            attention_mask=_mask(inside, length, last),
            position_ids=places[..., length + offset],
            past_key_values=cache,
            use_cache=True,
        )
        cache.crop(-len(inside))
        states = torch.cat([states, output.last_hidden_state[0]])
        owner = torch.cat([owner, inside])
        rest = [token for answer in answers for token in answer[1:]]
        targets = torch.cat([targets, torch.tensor(rest)])
    logits = model.backbone.lm_head(states)
    logits = (logits if shift is None else logits + shift).float()
    found = logits.log_softmax(-1).gather(1, targets[:, None].to(model.device))[:, 0]
    return torch.zeros(len(answers), device=found.device).index_add_(
        0, owner.to(found.device), found
    )


def _mask(inside: Tensor, length: int, like: Tensor) -> Tensor:
    """`[1, 1, answers' tokens, prefix + tokens]`: 0 where a token may look, the rest far below.

    A token sees the whole prefix, and of its own answer what stands before it.
    """
    count = len(inside)
    own = (inside[:, None] == inside) & torch.ones(count, count, dtype=torch.bool).tril()
    seen = torch.cat([torch.ones(count, length, dtype=torch.bool), own], dim=1)
    mask = torch.zeros(seen.shape, dtype=like.dtype).masked_fill(~seen, torch.finfo(like.dtype).min)
    return mask[None, None].to(like.device)
