"""The text term on stored hidden states: the backbone never runs, the vocabulary is met in pieces.

The backbone is frozen and the adapter reaches the text only through the shift of its case, so with
c = W shift the logits of token t are z_t + c and

    d text / d c = sum over the case's tokens of softmax(z_t + c) - onehot(y_t).

The sum is taken in the forward pass, while the logits of a piece are at hand; the backward pass is
then one product by W per case instead of one per token. Source: design of the distillation, our own
derivation (docs/sources.md).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from skingpt_r1.distill.losses import Term

CHUNK_BYTES = 1 << 26  # logits held at a time: small enough for a cache, large enough for a product


def stored_text_term(
    shift: Tensor,
    hidden: Tensor,
    targets: Tensor,
    lengths: Tensor,
    head: Tensor,
    chunk_tokens: int | None = None,
) -> Term:
    """The text term and its exact gradient with respect to the shift.

    Args:
        shift: [cases, width], the scaled shift of each case; the only input that gets a gradient.
        hidden: [tokens, width], stored states at the predicted positions, case after case.
        targets: [tokens], the token that each state predicts.
        lengths: [cases], tokens of each case, on the CPU; they add up to `tokens`.
        head: [vocabulary, width], the frozen output embedding.
        chunk_tokens: tokens whose logits are held at a time; from the vocabulary when None.
    """
    chunk = chunk_tokens or max(1, CHUNK_BYTES // (4 * head.shape[0]))
    inputs = (shift.float(), hidden, targets, lengths.tolist(), head, chunk)
    total: Tensor = _StoredText.apply(*inputs)  # type: ignore[no-untyped-call]
    return Term(total, torch.tensor(len(targets), device=targets.device))


class _StoredText(torch.autograd.Function):
    """Sum of the cross-entropies; keeps [cases, vocabulary], never [tokens, vocabulary]."""

    @staticmethod
    def forward(
        ctx: Any,
        shift: Tensor,
        hidden: Tensor,
        targets: Tensor,
        lengths: list[int],
        head: Tensor,
        chunk: int,
    ) -> Tensor:
        with torch.autocast(shift.device.type, enabled=False):
            bias = (shift.to(head.dtype) @ head.t()).float()
            pull = torch.zeros_like(bias) if ctx.needs_input_grad[0] else None
            total = torch.zeros((), dtype=torch.float64, device=shift.device)
            start = 0
            for case, length in enumerate(lengths):
                stop = start + length
                for low in range(start, stop, chunk):
                    high = min(low + chunk, stop)
                    logits = _logits(hidden[low:high], head, bias[case])
                    row = None if pull is None else pull[case]
                    total += _sum_piece(logits, targets[low:high], row)
                start = stop
        ctx.head = head
        ctx.pull = pull
        return total.float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(gradient.device.type, enabled=False):
            pulled = (ctx.pull * gradient).to(ctx.head.dtype) @ ctx.head
        return pulled.float(), None, None, None, None, None


def _logits(hidden: Tensor, head: Tensor, bias: Tensor) -> Tensor:
    """[tokens, vocabulary] in fp32, a fresh tensor."""
    if head.dtype == torch.float32:
        return torch.addmm(bias, hidden.float(), head.t())
    return (hidden.to(head.dtype) @ head.t()).float().add_(bias)


def _sum_piece(logits: Tensor, targets: Tensor, pull: Tensor | None) -> Tensor:
    """Sum of the cross-entropies of a piece; adds its part of the gradient to `pull`, in place.

    `logits` is used up: four passes over the piece instead of one new tensor for each operation.
    """
    top = logits.amax(dim=1, keepdim=True)
    logits.sub_(top)
    right = logits.gather(1, targets[:, None]).double()
    mass = logits.exp_().sum(dim=1)
    if pull is not None:
        pull.addmv_(logits.t(), mass.reciprocal())
        pull.index_add_(0, targets, torch.full_like(mass, -1.0))
    return mass.double().log().sum() - right.sum()


def chunked_text_term(
    states: Tensor, targets: Tensor, head: Tensor, chunk_tokens: int | None = None
) -> Term:
    """The text term where the states themselves carry a gradient, without [tokens, vocabulary].

    Args:
        states: [tokens, width], shifted states at the predicted positions; gets the gradient.
        targets: [tokens].
        head: [vocabulary, width], frozen.
        chunk_tokens: tokens whose logits are held at a time; from the vocabulary when None.
    """
    chunk = chunk_tokens or max(1, CHUNK_BYTES // (4 * head.shape[0]))
    total: Tensor = _ChunkedText.apply(  # type: ignore[no-untyped-call]
        states, targets, head, chunk
    )
    return Term(total, torch.tensor(len(targets), device=targets.device))


class _ChunkedText(torch.autograd.Function):
    """Sum of the cross-entropies; keeps the gradient, [tokens, width], in place of the logits."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, targets: Tensor, head: Tensor, chunk: int) -> Tensor:
        nothing = torch.zeros(len(head), device=head.device)
        total = torch.zeros((), dtype=torch.float64, device=head.device)
        pulls = []
        with torch.autocast(states.device.type, enabled=False):
            for piece, wanted in zip(
                torch.split(states, chunk), torch.split(targets, chunk), strict=True
            ):
                logits = _logits(piece, head, nothing)
                total += _sum_piece(logits, wanted, None)
                if ctx.needs_input_grad[0]:
                    # `logits` now holds the unnormalised probabilities.
                    logits.div_(logits.sum(dim=1, keepdim=True))
                    logits.scatter_add_(1, wanted[:, None], logits.new_full((len(wanted), 1), -1.0))
                    pulls.append((logits.to(head.dtype) @ head).to(states.dtype))
        ctx.pull = torch.cat(pulls) if pulls else None
        return total.float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.pull * gradient.to(ctx.pull.dtype), None, None, None
