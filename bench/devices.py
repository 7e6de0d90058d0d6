"""The same commands' work on every device of this machine: narratives and scores per second.

Narratives of one batch and their scores by DermEval, on the CPU first and then on every
accelerator, in fp32 and in bf16. Texts in fp32 should equal those of the CPU; in bf16 some differ,
which is why the number format is part of a run.
Expected on one H100 with the embedded backbone: 2 to 6 times 16 CPU cores, because decoding is
bound by launching small kernels; at the 7B shape the CPU is out of the question.
"""

import argparse
import time

import torch
from PIL import Image

from skingpt_r1.dermeval.report import load_evaluator
from skingpt_r1.dermeval.scoring import judge
from skingpt_r1.model.generation import Decoding
from skingpt_r1.model.load import load_model
from skingpt_r1.model.prompt import Request
from skingpt_r1.render.case import plan_case, render


def places() -> list[tuple[str, str]]:
    """Device and number format; the CPU first."""
    found = [("cpu", "fp32")]
    if torch.cuda.is_available():
        found += [
            (f"cuda:{n}", d) for n in range(torch.cuda.device_count()) for d in ("fp32", "bf16")
        ]
    if torch.backends.mps.is_available():
        found.append(("mps", "fp32"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--evaluator", default="nano")
    parser.add_argument("--cases", type=int, default=64)
    arguments = parser.parse_args()
    requests = [
        Request((Image.fromarray(render(plan_case(index, 5))),)) for index in range(arguments.cases)
    ]
    base: tuple[float, float, list[str]] | None = None
    for device, dtype in places():
        model = load_model(arguments.model, device=device, dtype=dtype)
        evaluator = load_evaluator(arguments.evaluator, device=device, dtype=dtype)
        # The first call in a number format loads its kernels, which takes seconds.
        model.write(requests, decoding=Decoding(max_new_tokens=160))
        list(judge(evaluator, [(requests[0].images, "A red papule: wart.")], brief=True))
        start = time.perf_counter()
        texts = [one.text for one in model.write(requests, decoding=Decoding(max_new_tokens=160))]
        written = len(texts) / (time.perf_counter() - start)
        items = [(request.images, text) for request, text in zip(requests, texts, strict=True)]
        start = time.perf_counter()
        list(judge(evaluator, items, brief=True))
        scored = len(items) / (time.perf_counter() - start)
        base = base or (written, scored, texts)
        same = sum(a == b for a, b in zip(texts, base[2], strict=True))
        print(
            f"{device} {dtype}: {written:.1f} narratives/s ({written / base[0]:.2f} of the CPU), "
            f"{scored:.1f} scores/s ({scored / base[1]:.2f}); {same} of {len(texts)} texts as on "
            "the CPU"
        )


if __name__ == "__main__":
    main()
