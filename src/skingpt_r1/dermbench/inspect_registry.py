"""What inspect-ai finds of this package through its entry points: the task and the provider."""

from skingpt_r1.dermbench.inspect_provider import SkinGPTAPI
from skingpt_r1.dermbench.inspect_tasks import dermbench

__all__ = ["SkinGPTAPI", "dermbench"]
