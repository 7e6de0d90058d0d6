"""Loss terms against slow references, and the cuts that must not change them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.distill.losses import (
    IGNORED,
    Term,
    Terms,
    balance_term,
    combine,
    no_term,
    text_term,
    tone_term,
    visual_term,
)
from skingpt_r1.distill.recipe import LossWeights

SEEDS = st.integers(0, 10_000)


def _slow_text(logits, targets):
    total, count = 0.0, 0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        if target == IGNORED:
            continue
        top = max(row)
        total += top + math.log(sum(math.exp(value - top) for value in row)) - row[target]
        count += 1
    return total, count


def _slow_cosine(left, right):
    dot = sum(a * b for a, b in zip(left, right, strict=True))
    return dot / math.sqrt(sum(a * a for a in left)) / math.sqrt(sum(b * b for b in right))


def test_text_term_equals_the_slow_reference():
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(7, 11, generator=generator)
    targets = torch.randint(11, (7,), generator=generator)
    targets[2] = IGNORED
    total, count = _slow_text(logits, targets)
    term = text_term(logits, targets)
    assert term.total.item() == pytest.approx(total, rel=1e-6)
    assert term.count.item() == count == 6


def test_visual_term_equals_the_slow_reference():
    generator = torch.Generator().manual_seed(1)
    student = torch.randn(4, 5, generator=generator)
    teacher = torch.randn(4, 5, generator=generator)
    pairs = zip(student.tolist(), teacher.tolist(), strict=True)
    expected = sum(1 - _slow_cosine(a, b) for a, b in pairs)
    term = visual_term(student, teacher)
    assert term.total.item() == pytest.approx(expected, rel=1e-5)
    assert term.count.item() == 4
    assert visual_term(teacher * 3, teacher).total.item() == pytest.approx(0, abs=1e-5)


def test_tone_term_leaves_out_unknown_tones():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0], [9.0, 9.0, 9.0]])
    term = tone_term(logits, torch.tensor([0, 2, -1]))
    expected, count = _slow_text(logits, torch.tensor([0, 2, IGNORED]))
    assert term.total.item() == pytest.approx(expected, rel=1e-6)
    assert term.count.item() == count == 2


def test_tone_term_without_any_known_tone_is_zero_and_differentiable():
    logits = torch.randn(3, 3, requires_grad=True)
    term = tone_term(logits, torch.full((3,), -1))
    term.total.backward()
    assert (term.total.item(), term.count.item()) == (0, 0)
    assert logits.grad is not None
    assert not logits.grad.any()


def test_combine_is_the_weighted_sum_of_means():
    terms = Terms(
        Term(torch.tensor(6.0), torch.tensor(3)),
        Term(torch.tensor(1.0), torch.tensor(2)),
        Term(torch.tensor(20.0), torch.tensor(2)),
        Term(torch.tensor(0.0), torch.tensor(0)),
    )
    assert combine(terms, LossWeights()).item() == pytest.approx(2 + 0.5 + 0.01)
    assert combine(terms, LossWeights(text=0, visual=2)).item() == pytest.approx(1 + 0.01)


def _terms(logits, targets, student, teacher, tone_logits, tones, balance):
    return Terms(
        text_term(logits, targets),
        visual_term(student, teacher),
        balance_term(balance.mean(), len(balance)) if len(balance) else no_term(logits),
        tone_term(tone_logits, tones),
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000), st.lists(st.integers(0, 6), min_size=1, max_size=4), st.integers(0, 5)
)
def test_no_cut_of_the_batch_changes_the_loss(seed, cuts, padding):
    """Micro-batches, some empty, padding and the order of images leave the loss as it is."""
    generator = torch.Generator().manual_seed(seed)
    images = sum(cuts)
    whole = (
        3 * torch.randn(images, 9, generator=generator),
        torch.randint(9, (images,), generator=generator),
        torch.randn(images, 4, generator=generator),
        torch.randn(images, 4, generator=generator),
        torch.randn(images, 3, generator=generator),
        torch.randint(-1, 3, (images,), generator=generator),
        torch.rand(images, generator=generator),
    )
    expected = combine(_terms(*whole), LossWeights())
    order = torch.randperm(images, generator=generator)
    pieces = [list(piece) for piece in zip(*(t[order].split(cuts) for t in whole), strict=True)]
    for piece in pieces:
        piece[0] = torch.cat([piece[0], torch.randn(padding, 9, generator=generator)])
        piece[1] = torch.cat([piece[1], torch.full((padding,), IGNORED)])
    parts = [_terms(*piece) for piece in pieces]
    counts = sum(torch.stack([term.count.double() for term in part]) for part in parts)
    stepped = sum(combine(part, LossWeights(), counts) for part in parts)
    assert stepped.item() == pytest.approx(expected.item(), rel=1e-5)
