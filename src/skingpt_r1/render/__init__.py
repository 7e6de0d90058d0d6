"""Procedurally rendered skin with known findings. For research, not for diagnosis."""
