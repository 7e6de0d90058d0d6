"""Largest memory of the corpus pipeline at two sizes: it should not grow with the cases.

Every step is a process of its own, as a user starts it: build, certification by simulated raters,
publication. Expected: the same within a tenth, since every stage reads and writes record by record
and scores in batches; what grows is hashes, counts and ids, some kilobytes for a case.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

RECIPE = "dermcot_synthetic"
HELD_OUT_SHARE, KEPT_SHARE = 0.32, 2 / 3  # of the candidates, as in the recipe


def largest_megabytes(arguments: Sequence[str]) -> float:
    """Largest resident memory of one `skingpt` call, with the libraries."""
    process = subprocess.Popen(
        [sys.executable, "-m", "skingpt_r1.cli", *arguments], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"skingpt {' '.join(arguments)} failed")
    return usage.ru_maxrss / 1024


def steps(folder: Path, count: int) -> dict[str, Sequence[str]]:
    """Name of a step -> its command line, for a corpus of so many candidates."""
    sizes = {
        "cases.count": count,
        "cases.held_out": round(count * HELD_OUT_SHARE),
        "select.keep": round(count * KEPT_SHARE),
    }
    changed = [word for key, value in sizes.items() for word in ("--set", f"{key}={value}")]
    corpus = str(folder / "corpus")
    return {
        "build": ["dermcot", "build", str(RECIPE), "--out", corpus, *changed],
        "certify": ["dermcot", "certify", corpus, "--simulated"],
        "publish": ["dermcot", "publish", corpus, "--out", str(folder / "published")],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, nargs=2, default=[1000, 4000])
    few, many = parser.parse_args().cases
    found: dict[int, dict[str, float]] = {}
    for count in (few, many):
        with tempfile.TemporaryDirectory() as folder:
            found[count] = {
                name: largest_megabytes(words) for name, words in steps(Path(folder), count).items()
            }
    for name in found[few]:
        one, two = found[few][name], found[many][name]
        grown = 1024 * (two - one) / (many - few)
        print(
            f"{name}: {one:.0f} MB with {few:,} candidates, {two:.0f} MB with {many:,}: "
            f"{two / one:.2f} times, {grown:.1f} KB for each further candidate"
        )


if __name__ == "__main__":
    main()
