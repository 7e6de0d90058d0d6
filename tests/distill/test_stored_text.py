"""The text term on stored hidden states: its value and its gradient are the plain ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from skingpt_r1.distill.objective import stored_text_term


def _batch(seed, lengths, width=12, vocabulary=37):
    generator = torch.Generator().manual_seed(seed)
    tokens = sum(lengths)
    return (
        torch.randn(len(lengths), width, generator=generator),
        2 * torch.randn(tokens, width, generator=generator),
        torch.randint(vocabulary, (tokens,), generator=generator),
        torch.tensor(lengths),
        torch.randn(vocabulary, width, generator=generator),
    )


def _plain(shift, hidden, targets, lengths, head):
    logits = (hidden + shift.repeat_interleave(lengths, 0)) @ head.T
    return functional.cross_entropy(logits, targets, reduction="sum")


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000), st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(1, 12)
)
def test_value_and_gradient_equal_the_plain_path(seed, lengths, chunk):
    shift, *rest = _batch(seed, lengths)
    stored_shift = shift.clone().requires_grad_()
    plain_shift = shift.clone().double().requires_grad_()
    stored = stored_text_term(stored_shift, *rest, chunk_tokens=chunk)
    plain = _plain(plain_shift, rest[0].double(), rest[1], rest[2], rest[3].double())
    (3 * stored.total).backward()
    (3 * plain).backward()
    assert stored.count == sum(lengths)
    assert stored.total.item() == pytest.approx(plain.item(), rel=1e-5, abs=1e-6)
    difference = (stored_shift.grad - plain_shift.grad).norm()
    assert difference <= 1e-5 * plain_shift.grad.norm() + 1e-12


def test_gradient_equals_finite_differences():
    shift, hidden, targets, lengths, head = _batch(3, [2, 3], width=4, vocabulary=7)
    shift.requires_grad_()
    stored_text_term(shift, hidden, targets, lengths, head).total.backward()
    step = 1e-6
    for case in range(2):
        for column in range(4):
            values = []
            for sign in (step, -step):
                moved = shift.detach().double()
                moved[case, column] += sign
                value = _plain(moved, hidden.double(), targets, lengths, head.double())
                values.append(value.item())
            slope = (values[0] - values[1]) / (2 * step)
            assert shift.grad[case, column].item() == pytest.approx(slope, rel=1e-4, abs=1e-4)


def test_large_logits_stay_finite():
    shift, hidden, targets, lengths, head = _batch(4, [3])
    shift = (1e3 * shift).requires_grad_()
    term = stored_text_term(shift, 1e3 * hidden, targets, lengths, head)
    term.total.backward()
    assert torch.isfinite(term.total)
    assert torch.isfinite(shift.grad).all()


def test_sixteen_bit_features_and_head_give_nearly_the_same():
    shift, hidden, targets, lengths, head = _batch(5, [6, 4])
    exact = stored_text_term(shift, hidden, targets, lengths, head).total
    rounded = stored_text_term(shift, hidden.bfloat16(), targets, lengths, head.bfloat16()).total
    assert rounded.item() == pytest.approx(exact.item(), rel=0.02)


def test_autocast_does_not_lower_the_precision():
    batch = _batch(6, [6, 4])
    exact = stored_text_term(*batch).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert stored_text_term(*batch).total.item() == exact.item()
