"""The model: a frozen vision-language backbone and image-conditioned adapters around it."""
