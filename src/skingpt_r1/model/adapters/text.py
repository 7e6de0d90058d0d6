"""The paper's text adapter: an image-conditioned shift of the decoder's hidden state."""

import torch
from torch import Tensor, nn


class LanguageBias(nn.Module):
    """`s * D2 tanh(D1 e)`: the shift that every predicted position of a case receives.

    The biased logits are `W (h + shift)` with the frozen output matrix `W`. The second map starts
    at zero, so an untrained model is the backbone bit for bit.

    Source: the paper's text adapter (https://arxiv.org/abs/2511.15242); rank 64 and scale 1.5 of
    the released code (docs/sources.md).
    """

    def __init__(self, embed_dim: int, hidden_dim: int, *, rank: int, scale_init: float) -> None:
        super().__init__()
        self.down = nn.Linear(embed_dim, rank, bias=False)
        self.up = nn.Linear(rank, hidden_dim, bias=False)
        self.scale = nn.Parameter(torch.tensor(float(scale_init)))
        nn.init.zeros_(self.up.weight)

    def forward(self, embedding: Tensor) -> Tensor:
        """`[cases, E]` to `[cases, D]`."""
        shift: Tensor = self.scale * self.up(torch.tanh(self.down(embedding)))
        return shift
