"""What the adapter costs in decoding: tokens per second with the bias and without, in turn.

Untrained adapters give the same text as the plain backbone, so both sides decode the same tokens.
Expected: under 3 %; per token the bias is one addition of [cases, vocabulary] to the logits, and
per case one run of the visual adapter.
"""

import argparse
import statistics
import time

from PIL import Image

from skingpt_r1.model.generation import Decoding
from skingpt_r1.model.load import load_model
from skingpt_r1.model.prompt import Request
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.render.case import plan_case, render


def decode(model: SkinGPT, requests: list[Request], adapters: bool) -> tuple[float, list[str]]:
    start = time.perf_counter()
    written = model.write(requests, decoding=Decoding(max_new_tokens=128), adapters=adapters)
    return time.perf_counter() - start, [one.text for one in written]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--cases", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    requests = [
        Request((Image.fromarray(render(plan_case(index, 5))),)) for index in range(arguments.cases)
    ]
    decode(model, requests, adapters=True)
    ratios, rates = [], []
    for number in range(arguments.rounds):
        times, texts = {}, {}
        for adapters in (True, False) if number % 2 else (False, True):
            times[adapters], texts[adapters] = decode(model, requests, adapters)
        assert texts[True] == texts[False], "untrained adapters must not change the text"
        ratios.append(times[True] / times[False])
        rates.append(arguments.cases / times[True])
    print(
        f"{arguments.cases} cases, {arguments.rounds} rounds: {statistics.median(rates):.1f} "
        f"narratives per second with the bias; time with / without: median "
        f"{statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})"
    )


if __name__ == "__main__":
    main()
