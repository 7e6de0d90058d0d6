"""The versions that pyproject.toml allows: `make test-lowest` installs the lowest."""

import re
import tomllib

from source_tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def versions(lines: list[str], sign: str) -> dict[str, str]:
    pairs = (re.match(rf"([\w-]+){sign}([\d.]+)", line) for line in lines)
    return {found[1].lower(): found[2] for found in pairs if found}


def test_the_lowest_versions_are_those_that_are_tested() -> None:
    tested = versions((ROOT / "constraints-lowest.txt").read_text("utf-8").splitlines(), "==")
    pinned = versions((ROOT / "constraints.txt").read_text("utf-8").splitlines(), "==")
    tested["torch"] = pinned["torch"]  # its other versions bring no build for processors alone
    for name, lowest in versions(PROJECT["dependencies"], ">=").items():
        numbers = f"{tested[name]}.0.0".split(".")
        assert numbers[: lowest.count(".") + 1] == lowest.split("."), name
