"""The versions that pyproject.toml allows: `make test-lowest` installs the lowest."""

import re
import tomllib

from source_tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_lowest_transformers_is_the_one_that_is_tested() -> None:
    allowed = next(line for line in PROJECT["dependencies"] if line.startswith("transformers"))
    tested = re.search(r"LOWEST := transformers==([\d.]+)", (ROOT / "Makefile").read_text("utf-8"))
    lowest = re.search(r">=([\d.]+)", allowed)
    assert tested is not None
    assert lowest is not None
    assert tested[1].startswith(lowest[1])
