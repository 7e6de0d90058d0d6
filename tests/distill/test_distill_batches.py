"""Which cases come together: the same for any number of processes, and balanced when asked."""

from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.distill.objective import EpochBatches, balanced_order, collate


def _epoch(cases, size, *, rank=0, processes=1, epoch=0, labels=None):
    batches = EpochBatches(
        cases, batch_size=size, seed=5, labels=labels, rank=rank, processes=processes
    )
    batches.epoch = epoch
    drawn = list(batches)
    assert len(drawn) == len(batches)
    return drawn


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))
def test_processes_share_the_batches_of_one_process(cases, share, processes, epoch):
    size = share * processes
    whole = _epoch(cases, size, epoch=epoch)
    parts = [
        _epoch(cases, size, rank=rank, processes=processes, epoch=epoch)
        for rank in range(processes)
    ]
    assert sorted(index for batch in whole for index in batch) == list(range(cases))
    for number, batch in enumerate(whole):
        shares = [part[number] for part in parts]
        assert all(shares), "every process has something to do"
        assert sorted(i for drawn in shares for i in drawn if i >= 0) == sorted(batch)
        assert all(i >= 0 for drawn in shares for i in drawn) or len(batch) < processes


def test_the_order_depends_on_the_epoch_and_repeats():
    assert _epoch(20, 4, epoch=1) == _epoch(20, 4, epoch=1)
    assert _epoch(20, 4, epoch=1) != _epoch(20, 4, epoch=2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40), st.integers(0, 99))
def test_every_label_is_drawn_equally_often(labels, seed):
    order = balanced_order(labels, torch.Generator().manual_seed(seed))
    drawn = Counter(labels[index] for index in order)
    assert len(order) == len(labels)
    assert max(drawn.values()) - min(drawn.get(label, 0) for label in set(labels)) <= 1
    for label in set(labels):
        times = Counter(index for index in order if labels[index] == label)
        members = labels.count(label)
        assert max(times.values(), default=0) <= -(-drawn[label] // members)


def test_states_that_predict_are_marked_where_the_language_model_runs():
    """prompt 7 8 | narrative 1 2 3: the states of 8, 1 and 2 predict 1, 2 and 3."""
    case = {
        "targets": torch.tensor([1, 2, 3]),
        "input_ids": torch.tensor([7, 8, 1, 2, 3]),
        "grids": torch.tensor([[1, 2, 2]]),
        "tones": torch.tensor([-1]),
        "weight": torch.ones(()),
    }
    short = case | {"targets": torch.tensor([4]), "input_ids": torch.tensor([9, 4])}
    batch = collate([case, short], pad_id=0)
    assert batch["input_ids"].tolist() == [[7, 8, 1, 2, 3], [9, 4, 0, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    assert batch["predicted"].int().tolist() == [[0, 1, 1, 1, 0], [1, 0, 0, 0, 0]]
    assert batch["targets"].tolist() == [1, 2, 3, 4]
    assert batch["counts"].tolist() == [4, 0, 2, 0]


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=150), st.integers(1, 7), st.integers(0, 5)
)
def test_like_lengths_come_together_and_no_case_is_lost(lengths, batch_size, epoch):
    lengths = lengths[: len(lengths) // batch_size * batch_size]  # a short batch may fall anywhere
    batches = EpochBatches(len(lengths), batch_size=batch_size, seed=3, lengths=lengths)
    batches.epoch = epoch
    drawn = list(batches)
    assert sorted(case for batch in drawn for case in batch) == list(range(len(lengths)))
    assert len(drawn) == len(batches)
    assert drawn == list(batches)
    spread = sum(max(lengths[c] for c in b) - min(lengths[c] for c in b) for b in drawn)
    mixed = EpochBatches(len(lengths), batch_size=batch_size, seed=3)
    mixed.epoch = epoch
    assert spread <= sum(max(lengths[c] for c in b) - min(lengths[c] for c in b) for b in mixed)
