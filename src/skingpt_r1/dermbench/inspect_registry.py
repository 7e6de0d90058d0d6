"""What inspect-ai finds of this package through its entry points: the tasks and the provider."""

from skingpt_r1.dermbench.inspect import SkinGPTAPI, classification, dermbench

__all__ = ["SkinGPTAPI", "classification", "dermbench"]
