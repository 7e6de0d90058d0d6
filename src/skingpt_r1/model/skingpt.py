"""The composed model: a frozen backbone, and the adapters that are the only trained weights."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model.adapters.text import LanguageBias, add_lora, lora_off, lora_state
from skingpt_r1.model.adapters.visual import VisualAdapter, VisualOutput, mean_over_patches
from skingpt_r1.model.backbone import Backbone, build_config, find_directory, load_backbone
from skingpt_r1.model.checkpoint import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    check_backbone,
    describe_adapter,
    put_weights,
    read_adapter_config,
    read_adapter_weights,
    saved_names,
)
from skingpt_r1.model.config import AUTO, AdapterConfig
from skingpt_r1.model.families.qwen2_5_vl import TowerTokens
from skingpt_r1.model.generation import (
    ANSWER_CLOSES,
    ANSWER_OPENS,
    GREEDY,
    Biased,
    Decoding,
    GeneratedText,
    RankedDiagnosis,
    answer_groups,
    check_candidates,
    refuse_numbers,
    stream_text,
    sum_likelihoods,
)
from skingpt_r1.model.processor import SkinProcessor
from skingpt_r1.model.prompt import Picture, PromptBatch, Request, encode_prompts
from skingpt_r1.model.weight_files import refusing
from skingpt_r1.text.narrative import Narrative, parse_narrative
from skingpt_r1.text.tokens import defused


class Conditions(NamedTuple):
    """What the pictures of a batch give to the language model."""

    tokens: Tensor  # [patches / 4, D], the picture tokens that it reads
    shift: Tensor | None  # [cases, D], added to its last hidden states
    visual: VisualOutput


class SkinGPTOutput(NamedTuple):
    """What a forward pass gives: logits, and what the losses need of the visual adapter."""

    logits: Tensor  # [cases, length, V]
    image_embedding: Tensor  # [images, E]
    teacher_projection: Tensor  # [images, T]
    tone_logits: Tensor  # [images, 3]
    balance: Tensor  # scalar


class SkinGPT(nn.Module):
    """A frozen backbone with image-conditioned adapters. For research, not for diagnosis.

    Untrained adapters leave the backbone as it is, bit for bit. Wherever a method takes `adapters`,
    False asks the frozen backbone: vocabulary bias, injection and low-rank matrices are off.

    Attributes:
        config: what the adapters are.
        processor: pictures and text to inputs; None when the directory had no tokenizer.
        backbone: the frozen model; low-rank matrices, if any, sit beside its weights.
        family: what is special about this kind of backbone.
        visual_adapter: pictures to embeddings.
        language_bias: embeddings to the shift of the logits; None with `text_adapter: lora`.
        vocabulary_mask: `[V]`, multiplies the bias; only to run the released weights as their
            authors do.
        adapter_refusal: why the adapters cannot be used; None when they can.
    """

    def __init__(self, loaded: Backbone, config: AdapterConfig) -> None:
        super().__init__()
        backbone, self.family, self.processor, reference = loaded
        hidden = backbone.config.text_config.hidden_size
        self.config = config.model_copy(update={"backbone": reference})
        self.backbone = backbone.requires_grad_(False)
        width = self.family.patch_width(backbone)
        self.visual_adapter = VisualAdapter(
            config.visual,
            feature_dim=hidden if config.visual.features == "tower" else width,
            teacher_dim=config.teacher_dim,
            inject_dim=hidden,
        )
        self.language_bias: LanguageBias | None = None
        if config.has_bias:
            self.language_bias = LanguageBias(
                config.visual.embed_dim, hidden, rank=config.rank, scale_init=config.scale_init
            )
        if config.has_lora:
            add_lora(backbone, config.lora, self.family.lora_targets(config.lora))
        self.vocabulary_mask: Tensor | None = None
        self.adapter_refusal: str | None = None
        self.to(backbone.device).eval()

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        backbone: str | Path | None = None,
        device: str | torch.device = AUTO,
        dtype: str | torch.dtype = AUTO,
    ) -> Self:
        """A model from adapters that `save_pretrained` wrote; see `load_model` for the arguments.

        Raises:
            CheckpointError: the backbone is another one, or the weights do not fit.
        """
        folder = Path(folder)
        config = read_adapter_config(folder)
        assert config.backbone is not None
        where = backbone or config.backbone.name
        family, described = build_config(find_directory(where))
        # sizes are compared with the file's header before memory is taken
        with (
            refusing(f"{folder / CONFIG_FILE} describes no adapters that can be built"),
            torch.device("meta"),
        ):
            empty = Backbone(family.MODEL(described), family, None, config.backbone)
            own = cls(empty, config).adapter_state()
        state = read_adapter_weights(folder, own)
        model = cls(load_backbone(where, device=device, dtype=dtype), config)
        check_backbone(config, model.config, folder)
        put_weights(state, model.adapter_state(), folder)
        return model

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the adapters, their settings, the processor's files and a model card.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        folder, own = Path(folder), self.adapter_state()
        state = {name: value.detach().cpu().contiguous() for name, value in own.items()}
        parameters = sum(value.numel() for value in own.values())
        targets = self.family.lora_targets(self.config.lora)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self.processor is not None:
                self.processor.save(folder)
            for name, text in describe_adapter(self.config, targets, parameters).items():
                (folder / name).write_text(text, "utf-8")
            unfinished = folder / f".{WEIGHTS_FILE}.partial"
            save_file(saved_names(self.config, state), unfinished, metadata={"format": "pt"})
            unfinished.replace(folder / WEIGHTS_FILE)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"the adapter cannot be written to {folder}: {error}") from error

    def copy_adapter(self, folder: Path) -> None:
        """Copy saved adapters of the same backbone into this model, which may have more."""
        check_backbone(read_adapter_config(folder), self.config, folder)
        saved, own = read_adapter_weights(folder), self.adapter_state()
        try:
            put_weights(saved, {name: own[name] for name in saved if name in own}, folder)
        except CheckpointError as error:
            advice = "use the same visual settings and rank, or leave out `start`"
            raise CheckpointError(f"{error}\n{advice}") from None

    @property
    def device(self) -> torch.device:
        """Where the backbone lives."""
        device: torch.device = self.backbone.device
        return device

    @property
    def head(self) -> nn.Linear:
        """The frozen output matrix, `[V, D]`."""
        head: nn.Linear = self.backbone.get_output_embeddings()
        return head

    @property
    def longest_input(self) -> int:
        """Positions that the backbone was made for."""
        return int(self.backbone.config.text_config.max_position_embeddings)

    @property
    def needed_processor(self) -> SkinProcessor:
        """The processor, or a CheckpointError that says why there is none."""
        if self.processor is None:
            raise CheckpointError(
                "this model was loaded from a directory without tokenizer files, so it has only "
                "`forward`; add tokenizer.json, tokenizer_config.json and a chat template"
            )
        return self.processor

    @property
    def end_ids(self) -> list[int]:
        """The tokens that end a text: the backbone's, and the end of the model's turn."""
        ends = self.backbone.generation_config.eos_token_id or []
        own = [] if self.processor is None else [self.processor.end_id]
        return list(dict.fromkeys([*ends, *own]))

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
        own = {n: p for n, p in self.named_parameters() if not n.startswith("backbone.")}
        return own | {f"lora.{name}": value for name, value in lora_state(self.backbone).items()}

    def use_adapters(self, adapters: bool) -> AbstractContextManager[None]:
        """A context in which low-rank matrices take part, or not; see also `adapter_refusal`."""
        if adapters and self.adapter_refusal is not None:
            raise CheckpointError(self.adapter_refusal)
        return nullcontext() if adapters else lora_off(self.backbone)

    def tower_tokens(self, pixel_values: Tensor, image_grid_thw: Tensor) -> TowerTokens:
        """What the tower emits for `[patches, F]` of pictures with grids `[images, 3]`.

        The frozen tower depends on no trained weight. With low-rank matrices in it they take part,
        unless the call is inside `use_adapters(False)`.
        """
        if self.config.adapts_tower:
            return self.family.run_tower(self.backbone, pixel_values, image_grid_thw)
        with torch.no_grad(), lora_off(self.backbone):
            return self.family.run_tower(self.backbone, pixel_values, image_grid_thw)

    def condition(
        self,
        pixel_values: Tensor | None,
        image_grid_thw: Tensor,
        images_per_case: Tensor,
        *,
        tower: TowerTokens | None = None,
        visual: VisualOutput | None = None,
        adapters: bool = True,
    ) -> Conditions:
        """Run tower and adapters on the pictures of a batch; call it inside `use_adapters`.

        Args:
            pixel_values: `[patches, F]`; None where `tower` and `visual` are precomputed.
            images_per_case: `[cases]`; a case's embeddings are averaged.
            adapters: False gives the tower's own tokens and no shift.
        """
        if tower is None:
            assert pixel_values is not None
            tower = self.tower_tokens(pixel_values, image_grid_thw)
        if visual is None:
            if self.config.visual.features == "pixels":
                assert pixel_values is not None, "this visual adapter reads pixels"
                visual = self.visual_adapter(pixel_values, image_grid_thw.prod(-1))
            else:
                lengths = self.family.merged_lengths(self.backbone, image_grid_thw)
                visual = self.visual_adapter(tower.merged, lengths)
        if not adapters:
            return Conditions(tower.merged, None, visual)
        tokens = tower.merged
        if self.config.adapts_merger:
            assert tower.pre_merger is not None, "adapters in the merger need pre-merger tokens"
            tokens = self.family.merge(self.backbone, tower.pre_merger, image_grid_thw)
        if visual.injection is not None:
            tokens = tokens + visual.injection.to(tokens.dtype)
        shift = None
        if self.language_bias is not None:
            with torch.autocast(self.device.type, enabled=False):
                embedding = mean_over_patches(visual.embedding, images_per_case)
                shift = self.language_bias(embedding)
        return Conditions(tokens, shift, visual)

    def vocabulary_bias(self, conditions: Conditions) -> Tensor | None:
        """`[cases, V]`: what is added to the logits at every position; None without a shift."""
        if conditions.shift is None:
            return None
        bias: Tensor = self.head(conditions.shift.to(self.head.weight.dtype))
        return bias if self.vocabulary_mask is None else bias * self.vocabulary_mask

    def hidden_states(
        self, input_ids: Tensor, attention_mask: Tensor, tokens: Tensor, image_grid_thw: Tensor
    ) -> Tensor:
        """`[cases, length, D]`: the last hidden states, after the final norm, without a shift.

        Positions are computed from the inputs at hand, so that no call can disturb another.
        `tokens`, `[patches / 4, D]`, are those of the pictures.
        """
        output = self.backbone.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=self.family.positions(
                self.backbone, input_ids, attention_mask, image_grid_thw
            ),
            use_cache=False,
            **self.family.picture_inputs(tokens),
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
        adapters: bool = True,
    ) -> SkinGPTOutput:
        """Logits at every position, and what the losses need.

        Args:
            input_ids: `[cases, length]`, like the mask, which is all ones by default.
            pixel_values: `[patches, F]`; may be left out when `tower_tokens` says enough.
            image_grid_thw: `[images, 3]`; every case has at least one picture.
            mm_token_type_ids: accepted and not needed.
            images_per_case: `[cases]`; read from the picture tokens by default.
            tower_tokens: precomputed by `tower_tokens()`; with adapters in the tower not for both
                values of `adapters`.
        """
        if image_grid_thw is None or (pixel_values is None and tower_tokens is None):
            raise ValueError(
                "a case needs a picture: image_grid_thw with pixel_values or tower_tokens"
            )
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        if images_per_case is None:
            images_per_case = self.count_images(input_ids, image_grid_thw)
        with self.use_adapters(adapters):
            conditions = self.condition(
                pixel_values, image_grid_thw, images_per_case, tower=tower_tokens, adapters=adapters
            )
            states = self.hidden_states(input_ids, mask, conditions.tokens, image_grid_thw)
            logits = self.head(states)
        if (bias := self.vocabulary_bias(conditions)) is not None:
            logits = logits + bias[:, None]
        return SkinGPTOutput(logits, *conditions.visual[:4])

    def count_images(self, input_ids: Tensor, image_grid_thw: Tensor) -> Tensor:
        """`[cases]`: pictures of each case, read from the picture tokens, which must match."""
        tokens = (input_ids == self.backbone.config.image_token_id).sum(-1).cumsum(0)
        ends = self.family.merged_lengths(self.backbone, image_grid_thw).cumsum(0)
        upto = torch.searchsorted(ends, tokens, right=True)
        counts = torch.diff(upto, prepend=upto.new_zeros(1))
        matched = len(ends) == int(upto[-1]) and bool((ends[upto - 1] == tokens).all())
        if not matched or bool((counts < 1).any()):
            raise ValueError(
                f"picture tokens per case end at {tokens.tolist()}, pictures at {ends.tolist()}; "
                "each case needs at least one picture and its tokens"
            )
        return counts

    @torch.no_grad()
    def generate_ids(
        self,
        batch: PromptBatch,
        decoding: Decoding,
        *,
        adapters: bool = True,
        tower: TowerTokens | None = None,
        processors: Sequence[LogitsProcessor] = (),
        **extras: Any,
    ) -> Tensor:
        """`[cases, new]`: generated token ids; rows that ended early are filled with the pad token.

        Args:
            tower: precomputed by `tower_tokens`; the batch's pixels are then only read by a visual
                adapter that reads pixels.
            processors: change the logits after the bias, before sampling.
            **extras: handed to the backbone's `generate`: a streamer, stopping criteria.

        Raises:
            CheckpointError: the logits of a token are not finite.
        """
        batch = batch.to(self.device)
        ends, processor = self.end_ids, self.processor
        pad = (ends or [0])[0] if processor is None else processor.pad_id
        with self.use_adapters(adapters), torch.random.fork_rng(enabled=decoding.temperature > 0):
            if decoding.temperature > 0:
                torch.manual_seed(decoding.seed)
            conditions = self.condition(
                batch.pixel_values,
                batch.image_grid_thw,
                batch.images_per_case,
                tower=tower,
                adapters=adapters,
            )
            biased = Biased(self.vocabulary_bias(conditions))
            ids: Tensor = self.backbone.generate(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                position_ids=self.family.positions(
                    self.backbone, batch.input_ids, batch.attention_mask, batch.image_grid_thw
                ),
                generation_config=decoding.generation_config(end_ids=ends, pad_id=pad),
                logits_processor=LogitsProcessorList([biased, *processors]),
                **self.family.picture_inputs(conditions.tokens),
                **extras,
            )
        return ids[:, batch.input_ids.shape[1] :]

    @torch.no_grad()
    def score_answers(
        self,
        batch: PromptBatch,
        opening: Sequence[int],
        answers: Sequence[Sequence[int]],
        *,
        adapters: bool = True,
    ) -> Tensor:
        """`[answers]`: mean log-likelihood per token of each answer after one prompt.

        Prompt, pictures and opening run through the backbone once; their keys and values stay in
        the cache for all answers.

        Args:
            batch: one prompt.
            opening: tokens that every answer follows, such as a reasoning.
            answers: tokens of each answer, none of them empty.

        Raises:
            CheckpointError: a likelihood is not finite.
        """
        prefix = torch.cat([batch.input_ids[0], torch.tensor(opening, dtype=torch.long)])[None]
        prefix, batch = prefix.to(self.device), batch.to(self.device)
        # The prefix ends in text, so any text token stands for the answers to come.
        longest = max(len(answer) for answer in answers)
        whole = torch.cat([prefix, prefix[:, -1:].expand(1, longest)], dim=1)
        places = self.family.positions(
            self.backbone, whole, torch.ones_like(whole), batch.image_grid_thw
        )
        with self.use_adapters(adapters):
            conditions = self.condition(
                batch.pixel_values, batch.image_grid_thw, batch.images_per_case, adapters=adapters
            )
            bias = self.vocabulary_bias(conditions)
            first = self.backbone.model(
                input_ids=prefix,
                attention_mask=torch.ones_like(prefix),
                position_ids=places[..., : prefix.shape[1]],
                past_key_values=DynamicCache(config=self.backbone.config.get_text_config()),
                use_cache=True,
                **self.family.picture_inputs(conditions.tokens),
            )
            last, cache = first.last_hidden_state[:, -1], first.past_key_values

            def logits_of(states: Tensor) -> Tensor:
                logits: Tensor = self.head(states)
                return logits if bias is None else logits + bias

            sums = [
                sum_likelihoods(self.backbone, logits_of, cache, last, group, places)
                for group in answer_groups(answers)
            ]
        likelihoods = torch.cat(sums) / torch.tensor([len(answer) for answer in answers])
        refuse_numbers("likelihoods", likelihoods)
        return likelihoods

    def write(
        self, requests: Sequence[Request], *, decoding: Decoding = GREEDY, adapters: bool = True
    ) -> list[GeneratedText]:
        """One text per request, decoded together."""
        processor = self.needed_processor
        if not requests:
            return []
        batch = encode_prompts(processor, requests)
        rows = self.generate_ids(batch, decoding, adapters=adapters).tolist()
        ends = {*self.end_ids, processor.pad_id}
        written = []
        for row, read in zip(rows, batch.attention_mask.sum(1).tolist(), strict=True):
            length = next((place for place, token in enumerate(row) if token in ends), len(row))
            is_cut = length == len(row)
            written.append(GeneratedText(processor.decode(row), is_cut, int(read), length))
        return written

    def diagnose(
        self,
        images: Picture | Sequence[Picture],
        context: Mapping[str, str] | None = None,
        *,
        candidates: Sequence[str] | None = None,
        decoding: Decoding = GREEDY,
        adapters: bool = True,
    ) -> Narrative:
        """Look at one case and say, step by step, what it may be. For research, not for diagnosis.

        Args:
            images: a file, a picture, or several of the same case.
            context: what the asker knows, for example `{"site": "back"}`.
            candidates: when given, the diagnosis is the likeliest of these.

        Raises:
            NarrativeError: the model's text is not a readable narrative; nothing is guessed.
        """
        request = Request.of(images, context)
        if candidates is not None:
            check_candidates(candidates, self.needed_processor)
        text = self.write([request], decoding=decoding, adapters=adapters)[0].text
        if candidates is not None:
            reasoning = text.partition(ANSWER_OPENS)[0]
            best = self.weigh(request, reasoning, candidates, adapters=adapters)[0]
            text = f"{reasoning}{ANSWER_OPENS} {best.label} {ANSWER_CLOSES}"
        return parse_narrative(text)

    def weigh(
        self, request: Request, reasoning: str, candidates: Sequence[str], *, adapters: bool = True
    ) -> list[RankedDiagnosis]:
        """Candidates by their likelihood as the answer after some reasoning; ties keep their order.

        The score is the mean log-likelihood of the tokens of `label </answer>` after the prompt,
        the reasoning and `<answer>`, so that a long name is not at a disadvantage (our choice).

        Raises:
            SkinGPTError: there are no candidates, or one is given twice, empty or holds a control
                token.
        """
        processor = self.needed_processor
        labels = check_candidates(candidates, processor)
        opening = processor.text_ids(f"{defused(reasoning)}{ANSWER_OPENS}")
        answers = [processor.text_ids(f" {label} {ANSWER_CLOSES}") for label in labels]
        batch = encode_prompts(processor, [request])
        scores = self.score_answers(batch, opening, answers, adapters=adapters)
        shares = scores.softmax(0)
        order = scores.argsort(descending=True, stable=True).tolist()
        return [RankedDiagnosis(labels[i], float(scores[i]), float(shares[i])) for i in order]

    def stream(
        self,
        images: Picture | Sequence[Picture],
        context: Mapping[str, str] | None = None,
        *,
        decoding: Decoding = GREEDY,
        adapters: bool = True,
    ) -> Iterator[str | Narrative]:
        """Pieces of text as they are generated, then the Narrative. Leaving early stops it.

        Raises:
            NarrativeError: after the last piece, when the text is not a readable narrative.
        """
        processor = self.needed_processor
        batch = encode_prompts(processor, [Request.of(images, context)])
        generate = partial(self.generate_ids, batch, decoding, adapters=adapters)
        pieces: list[str] = []
        for piece in stream_text(processor.tokenizer, generate):
            pieces.append(piece)
            yield piece
        yield parse_narrative("".join(pieces))
