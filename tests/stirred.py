"""Adapters as if they had been trained."""


def stir_adapters(model, seed: int = 7) -> None:
    """Random values in every adapter weight, as if it had been trained."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.adapter_state().values():
            value.add_(0.2 * torch.randn(value.shape, generator=generator))
