"""Questions of a benchmark answered in batches, against one by one: cases per second.

Expected: at least 4 times as many cases in a second on two cores: a decoding step of the embedded
backbone is mostly the overhead of its operations, which a batch pays once for all of its cases.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from PIL import Image

from skingpt_r1.dermbench.questions import Asked
from skingpt_r1.dermbench.recipe import LocalRecipe
from skingpt_r1.dermbench.records import Question
from skingpt_r1.dermbench.systems.own import LocalModel
from skingpt_r1.model.load import load_model
from skingpt_r1.render.case import plan_case, render
from skingpt_r1.text.wording import ask


def questions(folder: Path, count: int) -> list[Asked]:
    asked = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.fromarray(render(plan_case(number, 5))).save(path)
        question = Question(
            id=str(number), benchmark="dermbench", group=str(number), form="narrative",
            prompt=ask(), images=(path.name,), sha256=("",), label="unknown",
        )  # fmt: skip
        asked.append(Asked(question, (path,)))
    return asked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--cases", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        asked = questions(Path(folder), arguments.cases)

        def answer(size: int) -> tuple[float, list[str]]:
            recipe = LocalRecipe(max_new_tokens=128, batch_size=size)
            system = LocalModel(
                "mine", arguments.model, plain=False, recipe=recipe, load=lambda *_: model
            )
            start = time.perf_counter()
            texts = [item.text for item in system.answer(asked, ())]
            return len(texts) / (time.perf_counter() - start), texts

        answer(arguments.batch)
        ratios, rates, same = [], [], []
        for _ in range(arguments.rounds):
            alone, texts = answer(1)
            batched, others = answer(arguments.batch)
            ratios.append(batched / alone)
            rates.append(batched)
            same.append(sum(a == b for a, b in zip(texts, others, strict=True)))
    print(
        f"{arguments.cases} cases, batches of {arguments.batch}: {statistics.median(rates):.1f} "
        f"cases per second, {statistics.median(ratios):.1f} times one by one (from "
        f"{min(ratios):.1f} to {max(ratios):.1f}); {min(same)} of {arguments.cases} texts equal"
    )


if __name__ == "__main__":
    main()
