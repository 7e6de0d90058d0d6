"""A layer of bottleneck experts, chosen per patch and guided by the predicted skin tone."""

import math

import torch
from torch import Tensor, nn

from skingpt_r1.model.config import VisualConfig

NUM_TONES = 3
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
        """Route every patch and add what its experts say.

        Args:
            x: `[total_patches, E]`.
            tone: `[images, 3]`, predicted tone probabilities.
            lengths: `[images]`, patches of each picture.

        Returns:
            The new `x`, and the layer's balance: experts times the sum over experts of mean
            probability times mean selection, mean over pictures.
        """
        owner = torch.repeat_interleave(lengths)
        probabilities = (self.router_patch(x) + self.router_tone(tone)[owner]).softmax(-1)
        top, chosen = probabilities.topk(self.experts_per_token, dim=-1)
        top = top / (top.sum(-1, keepdim=True) + RENORMALISE_EPS)
        weights = torch.zeros_like(probabilities).scatter(-1, chosen, top)
        selected = torch.zeros_like(probabilities).scatter(-1, chosen, 1.0)
        return x + self._mix(x, weights), self._balance(probabilities, selected, owner, lengths)

    def _mix(self, x: Tensor, weights: Tensor) -> Tensor:
        experts, bottleneck, width = self.expand_weight.shape
        hidden = torch.addmm(
            self.expand_bias.flatten(),
            x,
            self.expand_weight.reshape(experts * bottleneck, width).T,
        )
        hidden = torch.relu(hidden).view(-1, experts, bottleneck) * weights[:, :, None]
        contract = self.contract_weight.permute(0, 2, 1).reshape(experts * bottleneck, width)
        return torch.addmm(weights @ self.contract_bias, hidden.flatten(1), contract)

    def _balance(
        self, probabilities: Tensor, selected: Tensor, owner: Tensor, lengths: Tensor
    ) -> Tensor:
        zeros = probabilities.new_zeros(len(lengths), self.num_experts)
        counts = lengths[:, None].to(probabilities.dtype)
        mean_probability = zeros.index_add(0, owner, probabilities) / counts
        mean_selection = zeros.index_add(0, owner, selected) / counts
        return self.num_experts * (mean_probability * mean_selection).sum(-1).mean()
