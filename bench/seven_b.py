"""The 7B shape with random weights on a GPU: feature pass, epoch on stored features, plain path.

Prints tokens per second of the feature pass and its share of the measured bf16 matrix ceiling, the
time of an epoch on stored features beside the plain path on the same cases, and peak memory.
`--toy` runs the same program at toy size on a CPU, to check the program and nothing else.
Expected on one H100: the feature pass at 40 % or more of the ceiling, because prompts of about 500
tokens in batches fill the matrix units; an epoch on stored features at least 50 times faster than
the plain path, because one product with the output layer per token replaces the whole backbone.
"""

import argparse
import time
from collections.abc import Callable

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from skingpt_r1.distill.losses import Term
from skingpt_r1.distill.objective import stored_text_term
from skingpt_r1.model.adapters.visual import VisualOutput
from skingpt_r1.model.backbone import Backbone
from skingpt_r1.model.config import AdapterConfig, BackboneReference, VisualConfig
from skingpt_r1.model.families import qwen2_5_vl
from skingpt_r1.model.skingpt import SkinGPT

SEVEN_B = {
    "text_config": {
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24],
        },
        "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    },
    "vision_config": {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
        "out_hidden_size": 3584, "patch_size": 14, "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
    },
}  # fmt: skip
TOY = {
    "text_config": SEVEN_B["text_config"]
    | {
        "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512,
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3],
        },
    },
    "vision_config": SEVEN_B["vision_config"]
    | {
        "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4,
        "out_hidden_size": 64, "fullatt_block_indexes": [1],
    },
}  # fmt: skip
IMAGE_TOKEN, ANSWER = 5, 400


def make_model(toy: bool, device: str, dtype: torch.dtype) -> SkinGPT:
    config = Qwen2_5_VLConfig(
        **(TOY if toy else SEVEN_B),
        image_token_id=IMAGE_TOKEN, video_token_id=6, vision_start_token_id=3,
        vision_end_token_id=4, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device(device):
        torch.set_default_dtype(dtype)
        backbone = Qwen2_5_VLForConditionalGeneration(config).eval()
        torch.set_default_dtype(torch.float32)
    visual = VisualConfig(features="tower", embed_dim=64 if toy else 1024)
    reference = BackboneReference(name="random", revision="")
    loaded = Backbone(backbone, qwen2_5_vl, None, reference)
    return SkinGPT(loaded, AdapterConfig(visual=visual)).to(device)


def make_batch(model: SkinGPT, cases: int, side: int, answer: int) -> dict[str, torch.Tensor]:
    """Random pictures of `side` x `side` patches and random text; 40 prompt tokens around them."""
    vocabulary = model.backbone.config.text_config.vocab_size
    tokens = side * side // 4
    ids = torch.randint(10, vocabulary, (cases, 40 + tokens + answer))
    ids[:, 8 : 8 + tokens] = IMAGE_TOKEN
    ids[:, 7], ids[:, 8 + tokens] = 3, 4
    return {
        "input_ids": ids.to(model.device),
        "attention_mask": torch.ones_like(ids).to(model.device),
        "pixel_values": torch.randn(cases * side * side, 1176).to(
            model.device, model.backbone.dtype
        ),
        "image_grid_thw": torch.tensor([[1, side, side]] * cases).to(model.device),
    }


def seconds(run: Callable[[], object], repeats: int) -> float:
    run()
    _wait()
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    _wait()
    return (time.perf_counter() - start) / repeats


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def ceiling(device: str, dtype: torch.dtype, size: int) -> float:
    """Measured floating-point operations per second of one large matrix product."""
    a = torch.randn(size, size, device=device, dtype=dtype)
    return 2 * size**3 / seconds(lambda: a @ a, 10)


def operations(model: SkinGPT, batch: dict[str, torch.Tensor]) -> float:
    """Products of the feature pass: two per weight and token; attention is left out."""
    language = sum(p.numel() for p in model.backbone.model.language_model.layers.parameters())
    tower = sum(p.numel() for p in model.backbone.model.visual.blocks.parameters())
    return 2.0 * (language * batch["input_ids"].numel() + tower * len(batch["pixel_values"]))


def feature_pass(model: SkinGPT, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        tower = model.tower_tokens(batch["pixel_values"], batch["image_grid_thw"])
        hidden = model.hidden_states(
            batch["input_ids"], batch["attention_mask"], tower.merged, batch["image_grid_thw"]
        )
    return hidden, tower.merged


def visual_loss(visual: VisualOutput) -> torch.Tensor:
    return 1 - visual.teacher_projection.float().mean(-1).mean()


def stored_step(
    model: SkinGPT, batch: dict[str, torch.Tensor], stored: tuple[torch.Tensor, ...], answer: int
) -> None:
    hidden, merged = stored
    cases = len(hidden)
    lengths = torch.tensor([len(merged) // cases] * cases, device=merged.device)
    visual = model.visual_adapter(merged.float(), lengths)
    assert model.language_bias is not None
    states = hidden[:, -answer - 1 : -1].flatten(0, 1)
    targets = batch["input_ids"][:, -answer:].flatten()
    term: Term = stored_text_term(
        model.language_bias(visual.embedding), states, targets,
        torch.tensor([answer] * cases), model.backbone.lm_head.weight,
    )  # fmt: skip
    (term.total / term.count + visual_loss(visual)).backward()
    model.zero_grad()


def plain_step(model: SkinGPT, batch: dict[str, torch.Tensor], answer: int) -> None:
    output = model(**batch)
    logits = output.logits[:, -answer - 1 : -1].flatten(0, 1).float()
    targets = batch["input_ids"][:, -answer:].flatten()
    loss = torch.nn.functional.cross_entropy(logits, targets)
    (loss + 1 - output.teacher_projection.float().mean(-1).mean()).backward()
    model.zero_grad()


def peak(run: Callable[[], object]) -> float:
    """Largest GPU memory while running, in GiB; not a number without a GPU."""
    if not torch.cuda.is_available():
        run()
        return float("nan")
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated() / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--side", type=int, default=24, help="patches per picture side")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not arguments.toy:
        raise SystemExit("the 7B shape needs a GPU; --toy checks the program on a CPU")
    dtype = torch.float32 if arguments.toy else torch.bfloat16
    answer = 40 if arguments.toy else ANSWER
    model = make_model(arguments.toy, device, dtype)
    batch = make_batch(model, arguments.cases, 8 if arguments.toy else arguments.side, answer)
    top = ceiling(device, dtype, 512 if arguments.toy else 8192)
    took = seconds(lambda: feature_pass(model, batch), 3)
    rate = operations(model, batch) / took
    tokens = batch["input_ids"].numel() / took
    print(f"feature pass: {tokens:.0f} tokens/s, {rate / top:.1%} of {top / 1e12:.2f} Tflop/s")
    stored = feature_pass(model, batch)
    fast = seconds(lambda: stored_step(model, batch, stored, answer), 3)
    slow = seconds(lambda: plain_step(model, batch, answer), 3)
    print(f"epoch of 10,000 cases on stored features: {fast / arguments.cases * 1e4:.0f} s")
    print(f"epoch of 10,000 cases on the plain path:  {slow / arguments.cases * 1e4:.0f} s")
    print(f"ratio: {slow / fast:.1f}")
    first = peak(lambda: stored_step(model, batch, stored, answer))
    second = peak(lambda: plain_step(model, batch, answer))
    print(f"peak memory, backbone included: stored {first:.1f} GiB, plain {second:.1f} GiB")


if __name__ == "__main__":
    main()
