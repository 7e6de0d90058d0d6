"""How the intervals of a run are drawn: the same seed and number of resamples everywhere."""

from typing import NamedTuple, TypedDict


class Keywords(TypedDict):
    """The keyword arguments of the resampling functions of `stats.py`."""

    seed: int
    resamples: int


class Draw(NamedTuple):
    """Seed and size of a bootstrap.

    Attributes:
        seed: equal seeds give equal intervals.
        resamples: of whole groups.
    """

    seed: int = 0
    resamples: int = 2000

    @property
    def keywords(self) -> Keywords:
        """As keyword arguments."""
        return {"seed": self.seed, "resamples": self.resamples}
