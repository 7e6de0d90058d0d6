"""The loss terms of a stored batch, for both kinds of text adapter.

`StoredBias`: the vocabulary bias; the backbone is not even held, only its output embedding.
`LanguageModel`: low-rank adapters or injection; the language model runs on stored tower tokens.
`Sight`: what is seen alone, for a stage in which no language model runs.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from skingpt_r1.distill.batches import Batch
from skingpt_r1.distill.features import patch_settings, patch_stored
from skingpt_r1.distill.losses import Term, Terms, balance_term, no_term, tone_term, visual_term
from skingpt_r1.distill.stored_text import chunked_text_term, stored_text_term
from skingpt_r1.model.adapters.text import LanguageBias
from skingpt_r1.model.adapters.visual import VisualAdapter, VisualOutput, mean_over_patches
from skingpt_r1.model.families.qwen2_5_vl import TowerTokens
from skingpt_r1.model.skingpt import SkinGPT


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
        """Compose the parts.

        Args:
            visual_adapter: pictures to embeddings.
            language_bias: embeddings to shifts.
            head: the output embedding.
            patching: patch side, merge side and temporal length; see `features.patch_settings`.
        """
        super().__init__()
        self.visual_adapter = visual_adapter
        self.language_bias = language_bias
        self.register_buffer("head", head.detach(), persistent=False)
        self.head: Tensor
        self.patching = dict(patching)

    def forward(self, batch: Batch) -> Terms:
        """The terms of a batch made by `batches.collate`."""
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
        """The terms of a batch made by `batches.collate`."""
        states, visual = self.states(batch)
        head = self.model.backbone.lm_head.weight
        return gather_terms(chunked_text_term(states, batch["targets"], head), visual, batch)

    def states(self, batch: Batch) -> tuple[Tensor, VisualOutput]:
        """[tokens, D]: the states at the predicted positions, shifted; and what was seen."""
        model = self.model
        batch = self.seen(batch)
        visual = look(model.visual_adapter, batch, self.patching)
        with self._mixed(batch):
            tokens = model.language_tokens(self.tower(batch), visual, batch["grids"])
            hidden = model.hidden_states(
                batch["input_ids"], batch["attention_mask"], tokens, batch["grids"]
            )
        states = hidden[batch["predicted"]].float()
        if model.language_bias is not None:
            shift = model.language_bias(mean_over_patches(visual.embedding, batch["images"]))
            states = states + shift.repeat_interleave(batch["lengths"], dim=0)
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


class Sight(nn.Module):
    """The visual, balance and tone terms of any adapter; the text term is nothing.

    Attributes:
        language: of the model; only its tower runs, where that has adapters.
    """

    def __init__(self, model: SkinGPT, precision: Literal["fp32", "bf16"] = "fp32") -> None:
        super().__init__()
        self.language = LanguageModel(model, precision)
        self.trained = [value for name, value in model.adapter_state().items() if is_sight(name)]

    def forward(self, batch: Batch) -> Terms:
        """The terms of a batch made by `batches.collate`."""
        language = self.language
        batch = language.seen(batch)
        visual = look(language.model.visual_adapter, batch, language.patching)
        # Injection learns from text alone: it has a gradient of zero here.
        idle = sum(0 * value.sum() for value in self.trained)
        text = no_term(visual.embedding)
        return gather_terms(Term(text.total + idle, text.count), visual, batch)


def is_sight(name: str) -> bool:
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
        nothing = no_term(visual.embedding)
        similarity = Term(nothing.total + 0 * visual.teacher_projection.sum(), nothing.count)
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
