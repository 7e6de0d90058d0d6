"""A program that asks a language model the questions of a small run, to be killed: URL, folder."""

import sys
from pathlib import Path

from small_bench import bench_recipe

from skingpt_r1.dermbench.answers import run_systems

if __name__ == "__main__":
    recipe = bench_recipe(calls={"max_connections": 1})
    run_systems(recipe, Path(sys.argv[2]), systems=[f"toy={sys.argv[1]}#toy-1"])
