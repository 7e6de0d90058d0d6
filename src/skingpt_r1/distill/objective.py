"""The loss terms of a stored batch, for each kind of adapter.

`StoredBias`: the vocabulary bias; the backbone is not even held, only its output embedding.
`LanguageModel`: low-rank adapters or injection; the language model runs on stored tower tokens.
`VisualOnly`: no language model runs; visual adapter and tower learn from the teacher alone.

The backbone is frozen and the vocabulary bias reaches the text only through the shift of its case,
so with c = W shift the logits of token t are z_t + c and

    d text / d c = sum over the case's tokens of softmax(z_t + c) - onehot(y_t).

The sum is taken in the forward pass, a piece of the vocabulary at a time; the backward pass is then
one product by W per case instead of one per token. Source: our own derivation (docs/sources.md).

From the store to batches: which cases come together, and how their tensors are joined.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.utils.data import Dataset, Sampler

from skingpt_r1.distill.features import patch_settings, patch_stored
from skingpt_r1.distill.losses import (
    IGNORED,
    UNKNOWN_TONE,
    Term,
    Terms,
    balance_term,
    no_term,
    tone_term,
    visual_term,
)
from skingpt_r1.model.adapters.text import LanguageBias
from skingpt_r1.model.adapters.visual import VisualAdapter, VisualOutput, mean_over_patches
from skingpt_r1.model.families.qwen2_5_vl import TowerTokens
from skingpt_r1.model.skingpt import SkinGPT

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
        no_bias = torch.zeros(len(head), device=head.device)
        total = torch.zeros((), dtype=torch.float64, device=head.device)
        pulls = []
        with torch.autocast(states.device.type, enabled=False):
            for piece, wanted in zip(
                torch.split(states, chunk), torch.split(targets, chunk), strict=True
            ):
                logits = _logits(piece, head, no_bias)
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


class StoredBias(nn.Module):
    """Terms of the vocabulary bias on stored hidden states; the backbone never runs.

    Attributes:
        visual_adapter: trained.
        language_bias: trained.
        head: [vocabulary, D], the frozen output embedding.
    """

    def __init__(
        self,
        visual_adapter: VisualAdapter,
        language_bias: LanguageBias,
        head: Tensor,
        patching: Mapping[str, int],
    ) -> None:
        """Compose the parts; for `patching` see `features.patch_settings`."""
        super().__init__()
        self.visual_adapter = visual_adapter
        self.language_bias = language_bias
        self.register_buffer("head", head.detach(), persistent=False)
        self.head: Tensor
        self.patching = dict(patching)

    def forward(self, batch: Batch) -> Terms:
        """The terms of a batch made by `collate`."""
        visual = look(self.visual_adapter, batch, self.patching)
        shift = self.language_bias(mean_over_patches(visual.embedding, batch["images"]))
        text = stored_text_term(
            shift, batch["hidden"], batch["targets"], batch["lengths"], self.head
        )
        return gather_terms(text, visual, batch)


class LanguageModel(nn.Module):
    """Terms of adapters that the language model's states depend on.

    Attributes:
        model: the composed model; its tower runs only where it has adapters.
        precision: `bf16` runs the language model and the merger in mixed precision; the visual
            adapter and the cross-entropy stay in fp32.
    """

    def __init__(self, model: SkinGPT, precision: Literal["fp32", "bf16"] = "fp32") -> None:
        super().__init__()
        self.model = model
        self.precision = precision
        self.patching = patch_settings(model)

    def forward(self, batch: Batch) -> Terms:
        """The terms of a batch made by `collate`."""
        states, visual = self.states(batch)
        head = self.model.backbone.lm_head.weight
        return gather_terms(chunked_text_term(states, batch["targets"], head), visual, batch)

    def states(self, batch: Batch) -> tuple[Tensor, VisualOutput]:
        """[tokens, D]: the states at the predicted positions, shifted; and what was seen."""
        model = self.model
        batch = self.seen(batch)
        visual = look(model.visual_adapter, batch, self.patching)
        with self._mixed(batch):
            conditions = model.condition(
                None, batch["grids"], batch["images"], tower=self.tower(batch), visual=visual
            )
            hidden = model.hidden_states(
                batch["input_ids"], batch["attention_mask"], conditions.tokens, batch["grids"]
            )
        states = hidden[batch["predicted"]].float()
        if conditions.shift is not None:
            states = states + conditions.shift.repeat_interleave(batch["lengths"], dim=0)
        return states, visual

    def seen(self, batch: Batch) -> Batch:
        """The batch with the tokens of a tower with adapters, which cannot be stored."""
        if not self.model.config.adapts_tower:
            return batch
        grids = batch["grids"]
        pixels = patch_stored(batch["pixels"], grids, **self.patching)
        with self._mixed(batch):
            return {**batch, "tower": self.model.tower_tokens(pixels, grids).merged}

    def _mixed(self, batch: Batch) -> torch.autocast:
        device = batch["targets"].device.type
        return torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16")

    def tower(self, batch: Batch) -> TowerTokens:
        """The tokens of the pictures of a batch that was `seen`."""
        dtype = self.model.backbone.dtype
        before = batch.get("pre_merger")
        # With adapters in the merger the stored merged tokens are not what the model reads.
        merged = batch["tower"] if "tower" in batch else batch["pre_merger"]
        return TowerTokens(merged.to(dtype), None if before is None else before.to(dtype))


class VisualOnly(nn.Module):
    """The visual, balance and tone terms of any adapter; the text term is zero.

    Attributes:
        language: of the model; only its tower runs, where that has adapters.
    """

    def __init__(self, model: SkinGPT, precision: Literal["fp32", "bf16"] = "fp32") -> None:
        super().__init__()
        self.language = LanguageModel(model, precision)
        self.trained = [
            value for name, value in model.adapter_state().items() if is_visual_weight(name)
        ]

    def forward(self, batch: Batch) -> Terms:
        """The terms of a batch made by `collate`."""
        language = self.language
        batch = language.seen(batch)
        visual = look(language.model.visual_adapter, batch, language.patching)
        # Injection learns from text alone: it has a gradient of zero here.
        idle = sum(0 * value.sum() for value in self.trained)
        text = no_term(visual.embedding)
        return gather_terms(Term(text.total + idle, text.count), visual, batch)


def is_visual_weight(name: str) -> bool:
    """Whether an adapter weight, by its saved name, decides what is seen."""
    return name.startswith(("visual_adapter.", "lora.model.visual."))


def look(adapter: VisualAdapter, batch: Batch, patching: Mapping[str, int]) -> VisualOutput:
    """Run the visual adapter on what a batch has for it."""
    grids = batch["grids"]
    lengths = grids.prod(-1)
    changed: dict[str, Tensor] = {}
    if adapter.config.features == "tower":
        patches = batch["tower"].float()
        lengths = lengths // patching["merge"] ** 2
    else:
        # A still picture is repeated in time, so its patches times the weights are one repeat times
        # the sum of the weights over time: the same numbers and gradients for half the work.
        patches = patch_stored(batch["pixels"], grids, **{**patching, "temporal": 1})
        weight = adapter.in_proj.weight
        repeats = weight.view(len(weight), -1, patching["temporal"], patching["patch"] ** 2)
        changed["in_proj.weight"] = repeats.sum(2).flatten(1)
    output: VisualOutput = functional_call(adapter, changed, (patches, lengths))
    return output


def gather_terms(text: Term, visual: VisualOutput, batch: Batch) -> Terms:
    """The four terms; a filler's are all zero.

    Every output of the visual adapter takes part, if only with a zero, so that every trained weight
    has a gradient in every process.
    """
    teacher = batch.get("teacher")
    if teacher is None:
        zero = no_term(visual.embedding)
        similarity = Term(zero.total + 0 * visual.teacher_projection.sum(), zero.count)
    else:
        similarity = visual_term(visual.teacher_projection, teacher)
    terms = Terms(
        text=text,
        visual=similarity,
        balance=balance_term(visual.balance, len(batch["grids"])),
        tone=tone_term(visual.tone_logits, batch["tones"]),
    )
    weight = batch["weight"]
    return Terms(*(Term(term.total * weight, term.count * weight) for term in terms))
