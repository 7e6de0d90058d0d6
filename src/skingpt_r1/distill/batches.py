"""From the store to batches: which cases come together, and how their tensors are joined."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from skingpt_r1.distill.losses import IGNORED, UNKNOWN_TONE

Batch = dict[str, Tensor]

# Joined end to end; the other fields of a case are padded.
CONCATENATED = ("targets", "hidden", "pixels", "tower", "pre_merger", "grids", "teacher", "tones")
_SORTED_TOGETHER = 32  # batches


class CaseStore(Protocol):
    """Where training reads its cases: a feature store, or examples drawn from one."""

    def __len__(self) -> int:
        """Number of cases."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """The fields of one case; see `features.py`."""


class StoredCases(Dataset[dict[str, Tensor]]):
    """The cases of a store as a torch data set.

    A filler, which keeps a process busy when the last batch has fewer cases than there are
    processes, is asked for with `~index`; it takes part in no sum.
    """

    def __init__(self, store: CaseStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if index >= 0:
            return self.store[index] | {"weight": torch.ones(())}
        return self.store[~index] | {"weight": torch.zeros(())}


class EpochBatches(Sampler[list[int]]):
    """The batches of an epoch, this process's share of each.

    A batch is the same set of cases for any number of processes. The order depends on the seed
    and the epoch only, so a run that is taken up again sees the cases it would have seen.

    Attributes:
        epoch: set before each epoch.
    """

    def __init__(
        self,
        cases: int,
        *,
        batch_size: int,
        seed: int,
        labels: Sequence[str] | None = None,
        lengths: Sequence[int] | None = None,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        """Describe the batches.

        Args:
            cases: number of cases.
            batch_size: cases in a batch, over all processes.
            seed: of the order.
            labels: one for each case, to draw every label equally often; None draws every case
                once.
            lengths: one for each case, to put cases of like length together, so that little is
                padded; None mixes all.
            rank: this process.
            processes: of how many.
        """
        self.cases = cases
        self.batch_size = batch_size
        self.seed = seed
        self.labels = labels
        self.lengths = lengths
        self.rank = rank
        self.processes = processes
        self.epoch = 0

    def __len__(self) -> int:
        return -(-self.cases // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        if self.labels is None:
            order = torch.randperm(self.cases, generator=generator).tolist()
        else:
            order = balanced_order(self.labels, generator)
        if self.lengths is None:
            batches = _cut(order, self.batch_size)
        else:
            batches = batches_of_like_length(order, self.lengths, self.batch_size, generator)
        for batch in batches:
            yield batch[self.rank :: self.processes] or [~batch[0]]


def batches_of_like_length(
    order: Sequence[int], lengths: Sequence[int], batch_size: int, generator: torch.Generator
) -> list[list[int]]:
    """Batches whose cases have like lengths, in random order.

    The shuffled cases are sorted among `_SORTED_TOGETHER` batches only, so that a case still meets
    others in every epoch.
    """
    batches = []
    for window in _cut(order, batch_size * _SORTED_TOGETHER):
        batches += _cut(sorted(window, key=lambda case: lengths[case]), batch_size)
    return [batches[at] for at in torch.randperm(len(batches), generator=generator).tolist()]


def _cut(order: Sequence[int], size: int) -> list[list[int]]:
    return [list(order[start : start + size]) for start in range(0, len(order), size)]


def balanced_order(labels: Sequence[str], generator: torch.Generator) -> list[int]:
    """As many cases as there are, every label equally often (to within one), in random order.

    A label's cases are gone through in random order again and again, so that none comes twice
    before all of its label came.
    """
    cases_of: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        cases_of.setdefault(label, []).append(index)
    names = sorted(cases_of)
    extra = set(
        torch.randperm(len(names), generator=generator)[: len(labels) % len(names)].tolist()
    )
    order: list[int] = []
    for position, name in enumerate(names):
        members = cases_of[name]
        wanted = len(labels) // len(names) + (position in extra)
        rounds = -(-wanted // len(members))
        drawn = [
            members[at]
            for _ in range(rounds)
            for at in torch.randperm(len(members), generator=generator).tolist()
        ]
        order += drawn[:wanted]
    return [order[at] for at in torch.randperm(len(order), generator=generator).tolist()]


def collate(cases: Sequence[Mapping[str, Tensor]], pad_id: int) -> Batch:
    """Join the fields of cases.

    Beside the stored fields a batch has `lengths` [cases] (predicted tokens), `images` [cases],
    `weight` [] (0 for a filler), `counts` [4] (of the loss terms) and, where `input_ids` are
    stored, `attention_mask` [cases, length] and `predicted` [cases, length].
    """
    batch: Batch = {
        name: torch.cat([case[name] for case in cases]) for name in CONCATENATED if name in cases[0]
    }
    batch["lengths"] = torch.tensor([len(case["targets"]) for case in cases])
    batch["images"] = torch.tensor([len(case["grids"]) for case in cases])
    batch["weight"] = cases[0]["weight"]
    batch["counts"] = _term_counts(batch) * batch["weight"].double()
    if "input_ids" in cases[0]:
        rows = [case["input_ids"] for case in cases]
        batch |= pad_text(rows, batch["lengths"].tolist(), pad_id)
    return batch


def _term_counts(batch: Batch) -> Tensor:
    """[4]: what each term of the loss is summed over, in the order of `TERMS`."""
    counts: list[Any] = [
        (batch["targets"] != IGNORED).sum(),
        len(batch["teacher"]) if "teacher" in batch else 0,
        len(batch["tones"]),
        (batch["tones"] != UNKNOWN_TONE).sum(),
    ]
    return torch.tensor([float(count) for count in counts], dtype=torch.float64)


def pad_text(rows: Sequence[Tensor], predicted: Sequence[int], pad_id: int) -> Batch:
    """`input_ids`, `attention_mask` and `predicted` of rows that end in what is predicted.

    `predicted` is given as how many tokens at the end of each row are predicted.
    """
    longest = max(len(row) for row in rows)
    input_ids = torch.full((len(rows), longest), pad_id)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    predicts = torch.zeros(len(rows), longest, dtype=torch.bool)
    for at, (row, tokens) in enumerate(zip(rows, predicted, strict=True)):
        input_ids[at, : len(row)] = row
        mask[at, : len(row)] = 1
        predicts[at, len(row) - 1 - tokens : len(row) - 1] = True
    return {"input_ids": input_ids, "attention_mask": mask, "predicted": predicts}
