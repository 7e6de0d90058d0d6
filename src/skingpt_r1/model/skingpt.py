"""The composed model: a frozen backbone, and the adapters that are the only trained weights."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from transformers import Qwen2_5_VLForConditionalGeneration

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model import generation as diagnosis
from skingpt_r1.model.adapters.text import LanguageBias, add_lora, lora_off, lora_state
from skingpt_r1.model.adapters.visual import VisualAdapter, VisualOutput, mean_over_patches
from skingpt_r1.model.config import AdapterConfig
from skingpt_r1.model.families.qwen2_5_vl import (
    TowerTokens,
    merge,
    merged_lengths,
    patch_width,
    picture_outputs,
    run_tower,
)
from skingpt_r1.model.generation import Decoding
from skingpt_r1.model.processor import SkinProcessor
from skingpt_r1.model.prompt import Picture, Request
from skingpt_r1.text.narrative import Narrative


class SkinGPTOutput(NamedTuple):
    """What a forward pass gives.

    Attributes:
        logits: `[cases, length, V]`, biased unless asked otherwise.
        image_embedding: `[images, E]`.
        teacher_projection: `[images, T]`.
        tone_logits: `[images, 3]`.
        balance: scalar.
    """

    logits: Tensor
    image_embedding: Tensor
    teacher_projection: Tensor
    tone_logits: Tensor
    balance: Tensor


class SkinGPT(nn.Module):
    """A frozen Qwen2.5-VL backbone with image-conditioned adapters.

    For research, not for diagnosis.

    Attributes:
        config: what the adapters are.
        processor: pictures and text to inputs; None when the directory had no tokenizer.
        backbone: the frozen model; low-rank matrices, if any, sit beside its weights.
        visual_adapter: pictures to embeddings.
        language_bias: embeddings to the shift of the logits; None with `text_adapter: lora`.
        vocabulary_mask: `[V]`, multiplies the bias; only to run the released weights as their
            authors do.
        bias_refusal: why the adapters cannot be used; None when they can.
    """

    def __init__(
        self,
        backbone: Qwen2_5_VLForConditionalGeneration,
        config: AdapterConfig,
        processor: SkinProcessor | None = None,
    ) -> None:
        super().__init__()
        hidden = backbone.config.text_config.hidden_size
        self.config = config
        self.processor = processor
        self.backbone = backbone.requires_grad_(False)
        self.visual_adapter = VisualAdapter(
            config.visual,
            feature_dim=hidden if config.visual.features == "tower" else patch_width(backbone),
            teacher_dim=config.teacher_dim,
            inject_dim=hidden,
        )
        self.language_bias: LanguageBias | None = None
        if config.has_bias:
            self.language_bias = LanguageBias(
                config.visual.embed_dim, hidden, rank=config.rank, scale_init=config.scale_init
            )
        if config.has_lora:
            add_lora(backbone, config.lora)
        self.vocabulary_mask: Tensor | None = None
        self.bias_refusal: str | None = None
        self.visual_adapter.to(backbone.device)
        if self.language_bias is not None:
            self.language_bias.to(backbone.device)
        self.eval()

    @classmethod
    def from_backbone(
        cls,
        backbone: Qwen2_5_VLForConditionalGeneration,
        config: AdapterConfig,
        processor: SkinProcessor | None = None,
    ) -> Self:
        """Untrained adapters on a backbone: it behaves as the backbone, bit for bit."""
        return cls(backbone, config, processor)

    @property
    def device(self) -> torch.device:
        """Where the backbone lives."""
        device: torch.device = self.backbone.device
        return device

    def train(self, mode: bool = True) -> Self:
        """Training mode for the adapters; the backbone stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        for name, module in self.backbone.named_modules():
            if ".lora_dropout" in name:
                module.train(mode)
        return self

    def adapter_state(self) -> dict[str, Tensor]:
        """The adapters' parameters by their saved names: what is trained, and what is saved."""
        state: dict[str, Tensor] = {
            f"visual_adapter.{k}": v for k, v in self.visual_adapter.named_parameters()
        }
        if self.language_bias is not None:
            state |= {f"language_bias.{k}": v for k, v in self.language_bias.named_parameters()}
        state |= {f"lora.{k}": v for k, v in lora_state(self.backbone).items()}
        return state

    def tower_tokens(self, pixel_values: Tensor, image_grid_thw: Tensor) -> TowerTokens:
        """What the tower emits.

        The frozen tower depends on no trained weight. With low-rank matrices in it they take part,
        unless the call is inside `plain(False)`.

        Args:
            pixel_values: `[patches, F]`.
            image_grid_thw: `[images, 3]`.
        """
        if self.config.adapts_tower:
            return run_tower(self.backbone, pixel_values, image_grid_thw)
        with torch.no_grad(), lora_off(self.backbone):
            return run_tower(self.backbone, pixel_values, image_grid_thw)

    def look(
        self, pixel_values: Tensor | None, tower: TowerTokens | None, image_grid_thw: Tensor
    ) -> VisualOutput:
        """Run the visual adapter on what it is configured to read."""
        if self.config.visual.features == "tower":
            assert tower is not None
            lengths = merged_lengths(self.backbone, image_grid_thw)
            output: VisualOutput = self.visual_adapter(tower.merged, lengths)
        else:
            assert pixel_values is not None
            output = self.visual_adapter(pixel_values, image_grid_thw.prod(-1))
        return output

    def language_tokens(
        self, tower: TowerTokens, visual: VisualOutput, image_grid_thw: Tensor, *, bias: bool = True
    ) -> Tensor:
        """`[patches / 4, D]`: the picture tokens that the language model reads.

        The tower's tokens; with adapters in the merger it runs again, and with `inject` the visual
        adapter's output is added.
        """
        tokens = tower.merged
        if bias and self.config.adapts_merger:
            assert tower.pre_merger is not None, "adapters in the merger need pre-merger tokens"
            tokens = merge(self.backbone, tower.pre_merger, image_grid_thw)
        if bias and visual.injection is not None:
            tokens = tokens + visual.injection.to(tokens.dtype)
        return tokens

    def vocabulary_bias(self, image_embedding: Tensor, images_per_case: Tensor) -> Tensor | None:
        """`[cases, V]`: what is added to the logits at every position; None with low-rank adapters.

        Args:
            image_embedding: `[images, E]`.
            images_per_case: `[cases]`; a case's embeddings are averaged.
        """
        if self.language_bias is None:
            return None
        shift = self.language_bias(mean_over_patches(image_embedding, images_per_case))
        bias: Tensor = self.backbone.lm_head(shift.to(self.backbone.lm_head.weight.dtype))
        return bias if self.vocabulary_mask is None else bias * self.vocabulary_mask

    def positions(
        self, input_ids: Tensor, attention_mask: Tensor, image_grid_thw: Tensor
    ) -> Tensor:
        """`[3, cases, length]`: rotary positions in time, height and width.

        Always computed from the inputs at hand, so that no call can disturb another.
        """
        positions, _ = self.backbone.model.get_rope_index(
            input_ids,
            mm_token_type_ids=(input_ids == self.backbone.config.image_token_id).int(),
            image_grid_thw=image_grid_thw,
            attention_mask=attention_mask,
        )
        return torch.as_tensor(positions)

    def plain(self, bias: bool) -> AbstractContextManager[None]:
        """A context in which the low-rank adapters are off, unless `bias` is true."""
        if bias and self.bias_refusal is not None:
            raise CheckpointError(self.bias_refusal)
        return nullcontext() if bias else lora_off(self.backbone)

    def hidden_states(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        image_tokens: Tensor,
        image_grid_thw: Tensor,
    ) -> Tensor:
        """`[cases, length, D]`: the last hidden states, after the final norm.

        Args:
            image_tokens: `[patches / 4, D]`, from `language_tokens`.
        """
        output = self.backbone.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=self.positions(input_ids, attention_mask, image_grid_thw),
            mm_encoder_outputs=picture_outputs(image_tokens),
            use_cache=False,
        )
        states: Tensor = output.last_hidden_state
        return states

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        mm_token_type_ids: Tensor | None = None,
        images_per_case: Tensor | None = None,
        *,
        tower_tokens: TowerTokens | None = None,
        bias: bool = True,
    ) -> SkinGPTOutput:
        """Logits at every position, and what the losses need.

        Args:
            input_ids: `[cases, length]`.
            attention_mask: `[cases, length]`, 1 for real tokens; all ones by default.
            pixel_values: `[patches, F]`; may be left out when `tower_tokens` says enough.
            image_grid_thw: `[images, 3]`; every case has at least one picture.
            mm_token_type_ids: accepted and not needed.
            images_per_case: `[cases]`; read from the picture tokens by default.
            tower_tokens: what `tower_tokens()` gave, to spare the tower; with adapters in the tower
                not for both values of `bias`.
            bias: False gives the plain backbone's logits: vocabulary bias, injection and low-rank
                adapters are off.

        Raises:
            CheckpointError: the adapters cannot be used (see `bias_refusal`) and `bias` is true.
        """
        if image_grid_thw is None or (pixel_values is None and tower_tokens is None):
            raise ValueError(
                "a case needs a picture: image_grid_thw with pixel_values or tower_tokens"
            )
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        counts = images_per_case
        if counts is None:
            counts = self.count_images(input_ids, image_grid_thw)
        with self.plain(bias):
            tower = tower_tokens
            if tower is None:
                assert pixel_values is not None
                tower = self.tower_tokens(pixel_values, image_grid_thw)
            visual = self.look(pixel_values, tower, image_grid_thw)
            tokens = self.language_tokens(tower, visual, image_grid_thw, bias=bias)
            states = self.hidden_states(input_ids, mask, tokens, image_grid_thw)
            logits = self.backbone.lm_head(states)
        if bias and (shift := self.vocabulary_bias(visual.embedding, counts)) is not None:
            logits = logits + shift[:, None]
        return SkinGPTOutput(
            logits, visual.embedding, visual.teacher_projection, visual.tone_logits, visual.balance
        )

    def count_images(self, input_ids: Tensor, image_grid_thw: Tensor) -> Tensor:
        """`[cases]`: pictures of each case, read from the picture tokens.

        Raises:
            ValueError: tokens and pictures do not match.
        """
        tokens = (input_ids == self.backbone.config.image_token_id).sum(-1).cumsum(0)
        ends = merged_lengths(self.backbone, image_grid_thw).cumsum(0)
        upto = torch.searchsorted(ends, tokens, right=True)
        counts = torch.diff(upto, prepend=upto.new_zeros(1))
        matched = len(ends) == int(upto[-1]) and bool((ends[upto - 1] == tokens).all())
        if not matched or bool((counts < 1).any()):
            raise ValueError(
                f"picture tokens per case end at {tokens.tolist()}, pictures at {ends.tolist()}; "
                "each case needs at least one picture and its tokens"
            )
        return counts

    def diagnose(
        self,
        images: Picture | Sequence[Picture],
        context: Mapping[str, str] | None = None,
        *,
        candidates: Sequence[str] | None = None,
        decoding: Decoding | None = None,
        bias: bool = True,
    ) -> Narrative:
        """Look at one case and say, step by step, what it may be. For research, not for diagnosis.

        Args:
            images: a file, a picture, or several of the same case.
            context: what the asker knows, for example `{"site": "back"}`.
            candidates: when given, the diagnosis is the likeliest of these.
            decoding: greedy by default.
            bias: False asks the plain backbone.

        Raises:
            NarrativeError: the model's text is not a readable narrative.
        """
        request = Request.of(images, context)
        return diagnosis.diagnose(
            self, request, candidates=candidates, decoding=decoding or Decoding(), bias=bias
        )

    def stream(
        self,
        images: Picture | Sequence[Picture],
        context: Mapping[str, str] | None = None,
        *,
        decoding: Decoding | None = None,
        bias: bool = True,
    ) -> Iterator[str | Narrative]:
        """Pieces of text as they are generated, then the Narrative.

        Raises:
            NarrativeError: after the last piece, when the text is not a readable narrative.
        """
        request = Request.of(images, context)
        return diagnosis.stream(self, request, decoding=decoding or Decoding(), bias=bias)

    def generate_batch(
        self, requests: Sequence[Request], *, decoding: Decoding | None = None, bias: bool = True
    ) -> list[str]:
        """One text per request, decoded together."""
        return diagnosis.generate_batch(self, requests, decoding=decoding or Decoding(), bias=bias)

    def rank(
        self,
        images: Picture | Sequence[Picture],
        candidates: Sequence[str],
        context: Mapping[str, str] | None = None,
        *,
        decoding: Decoding | None = None,
        bias: bool = True,
    ) -> list[diagnosis.Candidate]:
        """Candidate diagnoses with probabilities, the likeliest first."""
        request = Request.of(images, context)
        return diagnosis.rank(self, request, candidates, decoding=decoding or Decoding(), bias=bias)
