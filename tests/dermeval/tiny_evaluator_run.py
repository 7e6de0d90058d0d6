"""One run on the tiny backbone, in a process of its own that may kill itself.

python tiny_evaluator_run.py BACKBONE TRAIN TEST FOLDER [STAGE STEP]
"""

import os
import signal
import sys
from pathlib import Path

import torch
from tiny_evaluator import tiny_recipe

import skingpt_r1.distill.trainer as trainer
from skingpt_r1.dermeval.run import train_evaluator


def main():
    torch.set_num_threads(1)
    backbone, train, test, folder = map(Path, sys.argv[1:5])
    if len(sys.argv) > 5:
        stage, at = sys.argv[5], int(sys.argv[6])
        log = trainer.log_metrics

        def log_and_die(where, step, **values):
            log(where, step, **values)
            if where.name == stage and step >= at:
                os.kill(os.getpid(), signal.SIGKILL)

        trainer.log_metrics = log_and_die
    train_evaluator(tiny_recipe(backbone, train, test), folder)


if __name__ == "__main__":
    main()
