"""Candidate labels weighed with a shared prefix, against one forward pass for each of them.

Both give the same scores. The plain path reads the prompt, the picture and the reasoning once for
every candidate; the shared path reads them once and adds each label.
Expected: at 23 labels (DermNet) at least 5 times faster: the prefix has some 150 tokens and a label
about ten, so 23 passes of 160 tokens become one of 150 and one of 230.
"""

import argparse
import statistics
import time

import torch
from PIL import Image

from skingpt_r1.dermbench.classification.labels import find_label_set
from skingpt_r1.model.generation import ANSWER_CLOSES, ANSWER_OPENS
from skingpt_r1.model.load import load_model
from skingpt_r1.model.prompt import PromptBatch, Request, encode_prompts
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.render.case import plan_case, render

Ids = list[int]


@torch.no_grad()
def alone(model: SkinGPT, batch: PromptBatch, opening: Ids, answers: list[Ids]) -> torch.Tensor:
    """One full forward pass for each candidate; the tower runs once, as it did before."""
    scores = []
    tower = model.tower_tokens(batch.pixel_values, batch.image_grid_thw)
    for answer in answers:
        ids = torch.tensor([[*batch.input_ids[0].tolist(), *opening, *answer]])
        logits = model(
            ids,
            None,
            batch.pixel_values,
            batch.image_grid_thw,
            images_per_case=batch.images_per_case,
            tower_tokens=tower,
        ).logits
        targets = ids[0, -len(answer) :]
        loss = torch.nn.functional.cross_entropy(logits[0, -len(answer) - 1 : -1], targets)
        scores.append(-loss)
    return torch.stack(scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--labels", default="dermnet")
    parser.add_argument("--cases", type=int, default=5)
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    processor = model.needed_processor
    labels = find_label_set(arguments.labels).labels

    def tokens(text: str) -> Ids:
        ids: Ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    answers = [tokens(f" {label} {ANSWER_CLOSES}") for label in labels]
    ratios, worst = [], 0.0
    for index in range(arguments.cases):
        request = Request((Image.fromarray(render(plan_case(index, 5))),))
        reasoning = model.write([request])[0].text.partition(ANSWER_OPENS)[0]
        opening = tokens(f"{reasoning}{ANSWER_OPENS}")
        batch = encode_prompts(processor, [request])
        start = time.perf_counter()
        expected = alone(model, batch, opening, answers)
        middle = time.perf_counter()
        found = model.score_answers(batch, opening, answers, adapters=True)
        ratios.append((middle - start) / (time.perf_counter() - middle))
        worst = max(worst, (found - expected).abs().max().item())
    print(
        f"{len(labels)} labels, {arguments.cases} cases, prefix of {batch.input_ids.shape[1]} + "
        f"{len(opening)} tokens: shared prefix {statistics.median(ratios):.1f} times faster "
        f"(from {min(ratios):.1f} to {max(ratios):.1f}); largest difference {worst:.1e}"
    )
    assert worst < 1e-4, "both paths must give the same scores"


if __name__ == "__main__":
    main()
