"""Narratives judged per second, brief form: merged low-rank matrices against separate ones.

Expected: 1.3 times. A decoding step of the embedded backbone is mostly the overhead of its
operations, and an adapted projection has five of them where a merged one has one; the prompt, which
is arithmetic, gains about a seventh.
"""

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from skingpt_r1.dermeval.report import NANO_EVALUATOR, load_evaluator
from skingpt_r1.dermeval.scoring import Item, judge
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.render.layouts import write_cases
from skingpt_r1.text.wording import write_narrative


def narratives(folder: Path, count: int) -> list[Item]:
    items: list[Item] = []
    for number, case in enumerate(write_cases(folder, count, 5, 112)):
        assert case.label is not None
        text = write_narrative(case.findings, case.label, (), random.Random(number)).text
        items.append((case.images, text))
    return items


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--cases", type=int, default=256)
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    merged = load_evaluator(arguments.model)
    separate = SkinGPT.from_pretrained(
        NANO_EVALUATOR if arguments.model == "nano" else Path(arguments.model)
    )
    with tempfile.TemporaryDirectory() as folder:
        items = narratives(Path(folder), arguments.cases)

        def rate(model: SkinGPT, size: int) -> tuple[float, list[str]]:
            start = time.perf_counter()
            texts = []
            for at in range(0, len(items), size):
                judged = judge(model, items[at : at + size], brief=True)
                texts += [one.text for one in judged]
            return len(items) / (time.perf_counter() - start), texts

        rate(merged, arguments.batches[0])
        for size in arguments.batches:
            ratios, rates = [], []
            for _ in range(arguments.rounds):
                slow, texts = rate(separate, size)
                fast, others = rate(merged, size)
                ratios.append(fast / slow)
                rates.append(fast)
            same = sum(a == b for a, b in zip(texts, others, strict=True))
            print(
                f"batches of {size}: {statistics.median(rates):.1f} narratives per second, "
                f"{statistics.median(ratios):.2f} times separate matrices (from {min(ratios):.2f} "
                f"to {max(ratios):.2f}); {same} of {len(items)} critiques equal"
            )


if __name__ == "__main__":
    main()
