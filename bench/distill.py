"""One epoch of distillation on stored features beside the plain path: time, memory, gradients.

Both sides train the same adapters on the same batches with the same losses, threads and optimizer,
each in a process of its own. The plain side gets its inputs ready-made, outside the clock; the
stored side reads its features from disk inside the clock. Expected: 10 times or more.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from whole_model import encode_whole, whole_terms

from skingpt_r1.distill.data import narratives_of
from skingpt_r1.distill.features import FeaturePass, StoredCase
from skingpt_r1.distill.losses import Terms, combine
from skingpt_r1.distill.objective import StoredBias, StoredCases, collate
from skingpt_r1.distill.recipe import LossWeights
from skingpt_r1.distill.store import FeatureStore, write_store
from skingpt_r1.distill.trainer import make_trained
from skingpt_r1.model.adapters.text import LanguageBias
from skingpt_r1.model.adapters.visual import VisualAdapter
from skingpt_r1.model.backbone import find_directory, read_config
from skingpt_r1.model.config import AdapterConfig
from skingpt_r1.model.load import load_model
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.model.weight_files import weight_files
from skingpt_r1.render.layouts import write_cases

TEACHER_WIDTH = 64
CLOCKS = ("seconds", "cpu_seconds")  # the second is fairer where others use the machine too


def adapter_config(options: argparse.Namespace) -> AdapterConfig:
    visual = {
        "features": options.features,
        "layers": options.layers,
        "embed_dim": options.embed_dim,
        "num_layers": 4,
        "bottleneck": 64,
    }
    return AdapterConfig.model_validate({"visual": visual, "teacher_dim": TEACHER_WIDTH})


def read_cases(options: argparse.Namespace) -> list[StoredCase]:
    cases = write_cases(options.folder / "pictures", options.cases, 0)
    texts = narratives_of(cases, source="written", seed=0)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(len(cases), 1, TEACHER_WIDTH, generator=generator)
    return [StoredCase(*row) for row in zip(cases, texts, vectors, strict=True)]


def settle(parameters: Mapping[str, Tensor]) -> None:
    """The same first values on both sides, away from the identity, where some gradients vanish."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name in sorted(parameters):
            values = torch.randn(parameters[name].shape, generator=generator)
            parameters[name].copy_(1.5 if name == "language_bias.scale" else 0.05 * values)


def whole_model(options: argparse.Namespace) -> SkinGPT:
    model = load_model(options.backbone, config=adapter_config(options))
    settle(model.adapter_state())
    return model


def stored_objective(options: argparse.Namespace) -> StoredBias:
    """The stored side without the backbone: its output embedding and the adapters."""
    folder = find_directory(options.backbone)
    head = None
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            if "lm_head.weight" in file.keys():  # noqa: SIM118 - no mapping
                head = file.get_tensor("lm_head.weight").float()
    assert head is not None, "the backbone ties its embeddings"
    vision = read_config(folder)["vision_config"]
    patching = {
        "patch": vision.get("patch_size", 14),
        "merge": vision.get("spatial_merge_size", 2),
        "temporal": vision.get("temporal_patch_size", 2),
    }
    config = adapter_config(options)
    width = 3 * patching["temporal"] * patching["patch"] ** 2
    visual = VisualAdapter(
        config.visual,
        feature_dim=head.shape[1] if options.features == "tower" else width,
        teacher_dim=TEACHER_WIDTH,
        inject_dim=head.shape[1],
    )
    bias = LanguageBias(
        options.embed_dim, head.shape[1], rank=config.rank, scale_init=config.scale_init
    )
    objective = StoredBias(visual, bias, head, patching)
    settle(dict(objective.named_parameters()))
    return objective


def batches_of(cases: int, size: int) -> list[range]:
    return [range(start, min(start + size, cases)) for start in range(0, cases, size)]


def step(terms: Terms, optimizer: torch.optim.Optimizer) -> float:
    loss = combine(terms, LossWeights())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def run_side(options: argparse.Namespace) -> dict[str, float]:
    """One epoch of one side; the first batch is run once before the clock starts."""
    torch.set_num_threads(options.threads)
    before = peak_mb()
    rows = batches_of(options.cases, options.batch_size)
    if options.side == "stored":
        objective = stored_objective(options)
        parameters = list(objective.parameters())
        stored = StoredCases(FeatureStore(options.folder / "features"))
    else:
        model = whole_model(options).train()
        parameters = list(model.adapter_state().values())
        cases = read_cases(options)
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    seconds, work, losses = 0.0, 0.0, []
    for number, batch_rows in enumerate([rows[0], *rows]):
        if options.side == "stored":
            start = time.perf_counter(), time.process_time()
            batch = collate([stored[row] for row in batch_rows], pad_id=0)
            loss = step(objective(batch), optimizer)
        else:
            batch = encode_whole(model.processor, [cases[row] for row in batch_rows])
            start = time.perf_counter(), time.process_time()
            loss = step(whole_terms(model, batch), optimizer)
        if number:
            seconds += time.perf_counter() - start[0]
            work += time.process_time() - start[1]
            losses.append(loss)
    return {
        "seconds": seconds,
        "cpu_seconds": work,
        "peak_mb": peak_mb(),
        "above_libraries_mb": peak_mb() - before,
        "loss": sum(losses) / len(losses),
    }


def peak_mb() -> float:
    """The largest resident memory of this process so far (`ru_maxrss` would inherit a parent's)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def gradients(terms: Terms, model: SkinGPT) -> dict[str, Tensor]:
    model.zero_grad()
    combine(terms, LossWeights()).backward()
    return {name: p.grad.double().clone() for name, p in model.adapter_state().items()}


def worst_error(found: dict[str, Tensor], truth: dict[str, Tensor]) -> str:
    errors = {name: float((found[name] - g).norm() / g.norm()) for name, g in truth.items()}
    worst = max(errors, key=lambda name: errors[name])
    return f"{errors[worst]:.1e} ({worst})"


def compare_gradients(options: argparse.Namespace) -> list[str]:
    """Largest relative error over every trained tensor, on one batch in fp32.

    Both sides round; the plain path in double precision says which of them rounds more. With tower
    features it cannot: another rounding of the tokens puts other units on the far side of a ReLU.
    """
    model = whole_model(options)
    cases = read_cases(options)[: options.batch_size]
    whole = FeaturePass(model, cases, dtype="fp32", batch_size=len(cases))
    computed = whole(range(len(cases)))
    batch = collate([case | {"weight": torch.ones(())} for case in computed], pad_id=0)
    inputs = encode_whole(model.processor, cases)
    stored = gradients(make_trained(model).objective(batch), model)
    plain = gradients(whole_terms(model, inputs), model)
    lines = [f"stored against plain: at most {worst_error(stored, plain)}"]
    if options.features == "pixels":
        model.double()
        exact = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
        truth = gradients(whole_terms(model, exact), model)
        lines.append(f"stored against plain in fp64: at most {worst_error(stored, truth)}")
        lines.append(f"plain against plain in fp64: at most {worst_error(plain, truth)}")
    return lines


def feature_pass(options: argparse.Namespace) -> tuple[float, FeatureStore]:
    model = whole_model(options)
    cases = read_cases(options)
    compute = FeaturePass(model, cases, dtype=options.dtype, batch_size=32)
    start = time.perf_counter()
    write_store(
        options.folder / "features",
        {"bench": vars(options) | {"folder": None, "side": None}},
        [item.case.id for item in cases],
        compute,
        shard_cases=256,
    )
    return time.perf_counter() - start, FeatureStore(options.folder / "features")


def child(side: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--folder", str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def report(options: argparse.Namespace) -> None:
    seconds, store = feature_pass(options)
    print(
        f"{options.cases} cases, batch {options.batch_size}, {options.threads} threads, "
        f"visual adapter: {options.layers} on {options.features}, features in {options.dtype}"
    )
    print(f"feature pass, once: {seconds:.1f} s, {store.nbytes / 1e6:.1f} MB")
    for line in compare_gradients(options):
        print(f"relative error of the gradients, {line}")
    ratios = []
    for number in range(options.rounds):
        sides = ("plain", "stored") if number % 2 else ("stored", "plain")
        found = {side: child(side, options.folder) for side in sides}
        ratios.append([found["plain"][key] / found["stored"][key] for key in CLOCKS])
        for side in ("plain", "stored"):
            print(
                f"{side:>7}: {found[side]['seconds']:7.2f} s an epoch "
                f"({found[side]['cpu_seconds']:.2f} s of processor time), "
                f"peak {found[side]['peak_mb']:6.0f} MB "
                f"({found[side]['above_libraries_mb']:.0f} MB above the libraries), "
                f"mean loss {found[side]['loss']:.4f}"
            )
    for clock, values in zip(CLOCKS, zip(*ratios, strict=True), strict=True):
        print(f"plain / stored, {clock}: " + ", ".join(f"{value:.1f}" for value in values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="nano")
    parser.add_argument("--cases", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--features", choices=("tower", "pixels"), default="tower")
    parser.add_argument("--layers", choices=("residual", "experts"), default="residual")
    parser.add_argument("--embed-dim", type=int, default=128)
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--side", choices=("stored", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run_side(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        report(options)


if __name__ == "__main__":
    main()
