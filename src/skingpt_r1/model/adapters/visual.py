"""The visual adapter: patches of a picture to one embedding in the teacher's space."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skingpt_r1.model.config import VisualConfig

NUM_TONES = 3
TONE_HIDDEN = 64
RENORMALISE_EPS = 1e-6


class ExpertLayer(nn.Module):
    """`x + sum_k w_k f_k(x)` over the experts chosen for each patch.

    All experts of a layer are held as two wide matrices, so that one product serves them all; a
    patch's weight on an expert that was not chosen is exactly zero. Starts as the identity.

    Source: the paper's visual adapter (https://arxiv.org/abs/2511.15242); top-2 routing with eps
    1e-6 of the released code (docs/sources.md).
    """

    def __init__(self, config: VisualConfig) -> None:
        super().__init__()
        width, experts, bottleneck = config.embed_dim, config.num_experts, config.bottleneck
        self.num_experts = experts
        self.experts_per_token = config.experts_per_token
        self.router_patch = nn.Linear(width, experts, bias=False)
        self.router_tone = nn.Linear(NUM_TONES, experts, bias=False)
        bound = 1 / math.sqrt(width)
        self.expand_weight = nn.Parameter(torch.empty(experts, bottleneck, width))
        self.expand_bias = nn.Parameter(torch.empty(experts, bottleneck))
        self.contract_weight = nn.Parameter(torch.zeros(experts, width, bottleneck))
        self.contract_bias = nn.Parameter(torch.zeros(experts, width))
        nn.init.uniform_(self.expand_weight, -bound, bound)
        nn.init.uniform_(self.expand_bias, -bound, bound)

    def forward(self, x: Tensor, tone: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Route every patch, `[patches, E]`, and add what its experts say.

        `tone` are predicted tone probabilities, `[images, 3]`; `lengths` the patches of each
        picture. Returns the new `x`, and the layer's balance: experts times the sum over experts of
        mean probability times mean selection, mean over pictures.
        """
        owner = torch.repeat_interleave(lengths)
        probabilities = (self.router_patch(x) + self.router_tone(tone)[owner]).softmax(-1)
        top, chosen = probabilities.topk(self.experts_per_token, dim=-1)
        top = top / (top.sum(-1, keepdim=True) + RENORMALISE_EPS)
        weights = torch.zeros_like(probabilities).scatter(-1, chosen, top)
        selected = torch.zeros_like(probabilities).scatter(-1, chosen, 1.0)
        shares = mean_over_patches(probabilities, lengths) * mean_over_patches(selected, lengths)
        return x + self._mix(x, weights), self.num_experts * shares.sum(-1).mean()

    def _mix(self, x: Tensor, weights: Tensor) -> Tensor:
        experts, bottleneck, width = self.expand_weight.shape
        hidden = torch.addmm(
            self.expand_bias.flatten(), x, self.expand_weight.reshape(experts * bottleneck, width).T
        )
        hidden = torch.relu(hidden).view(-1, experts, bottleneck) * weights[:, :, None]
        contract = self.contract_weight.permute(0, 2, 1).reshape(experts * bottleneck, width)
        return torch.addmm(weights @ self.contract_bias, hidden.flatten(1), contract)


class VisualOutput(NamedTuple):
    """What the visual adapter gives."""

    embedding: Tensor  # [images, E], mean over the patches of the stack's output
    teacher_projection: Tensor  # [images, T], compared with the teacher's vectors
    tone_logits: Tensor  # [images, 3], light, medium, dark
    balance: Tensor  # scalar, how unevenly the experts are used; 0 for residual layers
    injection: Tensor | None  # [patches, D], added to the tower's tokens


class ResidualLayer(nn.Module):
    """One bottleneck layer, `x + f(x)`; the identity at initialisation."""

    def __init__(self, config: VisualConfig) -> None:
        super().__init__()
        self.expand = nn.Linear(config.embed_dim, config.bottleneck)
        self.contract = nn.Linear(config.bottleneck, config.embed_dim)
        nn.init.zeros_(self.contract.weight)
        nn.init.zeros_(self.contract.bias)

    def forward(self, x: Tensor) -> Tensor:
        """`[patches, E]` to `[patches, E]`."""
        output: Tensor = x + self.contract(torch.relu(self.expand(x)))
        return output


def mean_over_patches(x: Tensor, lengths: Tensor) -> Tensor:
    """`[images, E]`: mean of each picture's rows of `[patches, E]`; every length is at least 1."""
    owner = torch.repeat_interleave(lengths)
    sums = x.new_zeros(len(lengths), x.shape[1]).index_add(0, owner, x)
    return sums / lengths[:, None].to(x.dtype)


class VisualAdapter(nn.Module):
    """Maps the patches of each picture to an embedding, and to what the losses compare.

    Every layer exists after construction, and the stack starts as the identity.

    Source: the paper's visual adapter (https://arxiv.org/abs/2511.15242); layer sizes of the
    released code (docs/sources.md).
    """

    def __init__(
        self,
        config: VisualConfig,
        *,
        feature_dim: int,
        teacher_dim: int | None = None,
        inject_dim: int | None = None,
    ) -> None:
        super().__init__()
        width = config.embed_dim
        self.config = config
        self.teacher_dim = teacher_dim or width
        self.out_proj: nn.Linear | None = None
        self.inject_proj: nn.Linear | None = None
        if config.layers == "none":
            return
        self.in_proj = nn.Linear(feature_dim, width, bias=False)
        self.tone_classifier = nn.Sequential(
            nn.Linear(width, TONE_HIDDEN), nn.ReLU(), nn.Linear(TONE_HIDDEN, NUM_TONES)
        )
        layer = ResidualLayer if config.layers == "residual" else ExpertLayer
        self.layers = nn.ModuleList(layer(config) for _ in range(config.num_layers))
        if self.teacher_dim != width:
            self.out_proj = nn.Linear(width, self.teacher_dim, bias=False)
        if config.inject:
            assert inject_dim is not None
            self.inject_proj = nn.Linear(width, inject_dim, bias=False)
            nn.init.zeros_(self.inject_proj.weight)

    def forward(self, patches: Tensor, lengths: Tensor) -> VisualOutput:
        """Run over `[patches, F]` of several pictures; `lengths` are the patches of each."""
        if self.config.layers == "none":
            widths = self.config.embed_dim, self.teacher_dim, NUM_TONES
            zeros = [torch.zeros(len(lengths), width, device=patches.device) for width in widths]
            return VisualOutput(zeros[0], zeros[1], zeros[2], zeros[0].new_zeros(()), None)
        x = self.in_proj(patches.to(self.in_proj.weight.dtype))
        tone_logits = self.tone_classifier(mean_over_patches(x, lengths))
        balance = x.new_zeros(())
        tone = tone_logits.softmax(-1)
        for layer in self.layers:
            if isinstance(layer, ResidualLayer):
                x = layer(x)
            else:
                x, layer_balance = layer(x, tone, lengths)
                balance = balance + layer_balance
        embedding = mean_over_patches(x, lengths)
        return VisualOutput(
            embedding=embedding,
            teacher_projection=embedding if self.out_proj is None else self.out_proj(embedding),
            tone_logits=tone_logits,
            balance=balance,
            injection=None if self.inject_proj is None else self.inject_proj(x),
        )
