"""What inspect-ai finds of this package through its entry points: the tasks and the provider."""

from skingpt_r1.dermbench.inspect import classification, dermbench
from skingpt_r1.dermbench.inspect_provider import SkinGPTAPI

__all__ = ["SkinGPTAPI", "classification", "dermbench"]
