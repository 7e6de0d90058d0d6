"""A benchmark run small enough for a test: rendered cases, and systems that need no model."""

from skingpt_r1.dermbench.recipe import BenchRecipe

REPLY = "<think> Observation: a red papule. Reasoning: it fits. </think> <answer> wart </answer>"


def bench_recipe(**changes):
    values = {
        "name": "small",
        "seed": 3,
        "data": {"dataset": "synthetic", "count": 10, "size": 48, "seed": 77},
        "local": {"max_new_tokens": 12, "batch_size": 4},
        "calls": {"max_retries": 0, "first_wait_s": 0.05, "timeout_s": 30, "max_failures": 50},
    }
    for name, value in changes.items():
        old = values.get(name)
        values[name] = old | value if isinstance(old, dict) else value
    return BenchRecipe.model_validate(values)
