"""One run on the tiny backbone, in a process of its own: python tiny_run.py BACKBONE FOLDER."""

import os
import signal
import sys
from pathlib import Path

import torch

import skingpt_r1.distill.trainer as trainer
from skingpt_r1.distill.recipe import make_recipe
from skingpt_r1.distill.run import run_recipe

KILL_AT_STEP = 8


def tiny_recipe(backbone, **changes):
    values = {
        "name": "tiny",
        "backbone": str(backbone),
        "data": {"count": 50, "size": 56, "balance": True},
        "adapter": {
            "visual": {
                "layers": "experts",
                "num_experts": 4,
                "embed_dim": 16,
                "num_layers": 1,
                "bottleneck": 4,
            },
            "rank": 4,
        },
        "teacher": {"kind": "none"},
        "losses": {"visual": 0},
        "features": {"dtype": "fp32", "shard_cases": 16, "batch_size": 8},
        "train": {
            "epochs": 3,
            "batch_size": 8,
            "gradient_accumulation": 2,
            "save_every": 5,
            "log_every": 2,
            "learning_rate": 1e-2,
        },
        "evaluate": {"count": 4},
        "generate": {"max_new_tokens": 8},
    }
    for place, value in changes.items():
        *sections, key = place.split("__")
        inner = values
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[key] = value
    return make_recipe(values)


def kill_myself():
    os.kill(os.getpid(), signal.SIGKILL)


def killed_run(backbone, folder, place=None):
    """The run, which kills itself in the feature pass or in training."""

    def progress(stage, done, _total):
        if place == stage == "features" and done >= 16:
            kill_myself()

    if place == "training":
        log = trainer.log_metrics

        def log_and_die(where, step, **values):
            log(where, step, **values)
            if step >= KILL_AT_STEP:
                kill_myself()

        trainer.log_metrics = log_and_die
    run_recipe(tiny_recipe(backbone), folder, progress=progress)


if __name__ == "__main__":
    torch.set_num_threads(1)
    killed_run(*map(Path, sys.argv[1:3]))
