"""The product from end to end in about a minute, through its command line alone.

    python tests/e2e/golden_run.py OUT             run, and write OUT/digest.json
    python tests/e2e/golden_run.py --compare A B   which files of two runs differ, and where first
    python tests/e2e/golden_run.py --store         write tests/golden/run.json anew

On one machine two trees that compute the same leave equal digests. Other processors round
differently, so that what a model computes is compared with a tolerance there (test_golden.py).
"""

import hashlib
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
from safetensors.numpy import load_file
from typer.testing import CliRunner

from skingpt_r1.cli.main import app

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "run.json"
# What may differ between two runs of equal code: when, where and with which versions they ran.
VARIES = {"versions", "git_commit", "minutes", "seconds", "time", "date", "at", "started", "ended"}
VARIES |= {"places", "root", "from_run", "speed", "cases_per_second", "duration", "commit"}
SKIPPED = {".lock", "places.json", "digest.json"}
TEXTS = {".yaml", ".json", ".jsonl", ".csv", ".md", ".html", ".txt"}

SMALL = ["data.count=48", "data.size=56", "train.epochs=2", "evaluate.count=12"]
SMALL += ["generate.max_new_tokens=64", "features.shard_cases=16", "train.batch_size=8"]
ABLATION = """\
name: golden
seeds: [0]
corpus: {corpus}
cells:
  - {{name: "bias: + text", recipe: golden_text.yaml, features: bias}}
  - {{name: "bias: + text + visual", recipe: golden_visual.yaml, features: bias}}
differences:
  - ["bias: + text", base]
  - ["bias: + text + visual", "bias: + text"]
"""
CELL = """\
extends: {parent}
train: {{epochs: 1, batch_size: 8}}
generate: {{max_new_tokens: 64, batch_size: 16}}
evaluate: {{count: 8}}
"""


def skingpt(*arguments: str | Path) -> None:
    """One command, as it is typed."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exit_code:
        raise RuntimeError(
            f"skingpt {' '.join(map(str, arguments))}\n{done.output}{done.exception!r}"
        )


def golden_run(folder: Path) -> None:
    """Corpus, certification, publication, distillation, ablation, benchmarks, report."""
    folder.mkdir(parents=True, exist_ok=True)
    corpus, published = folder / "corpus", folder / "published"
    sizes = ["cases.count=64", "cases.held_out=16", "cases.size=56", "select.keep=32"]
    skingpt("dermcot", "build", "dermcot_demo", "--out", corpus, *settings(sizes))
    skingpt(
        "dermcot", "certify", corpus, "--export", folder / "sheets", "--rater", "a", "--rater", "b"
    )
    skingpt("dermcot", "certify", corpus, "--simulated")
    skingpt("dermcot", "publish", corpus, "--out", published)
    skingpt("dermcot", "stats", corpus)
    distilled = folder / "distilled"
    skingpt("distill", "nano_bias_text_visual", "--out", distilled, *settings(SMALL))
    skingpt("ablate", ablation_recipe(folder, corpus), "--out", folder / "ablation")
    bench, system = folder / "bench", f"mine=skingpt/{distilled / 'adapter'}"
    few = ["data.count=10", "data.size=56", "local.max_new_tokens=64", "local.batch_size=10"]
    skingpt("bench", "run", "dermbench_demo", "--out", bench, "--system", system, *settings(few))
    skingpt("bench", "judge", bench, "--judge", "rubric", "--judge", "dermeval", "--brief")
    labels = folder / "labels"
    skingpt(
        "datasets",
        "synthetic",
        "ham10000",
        folder / "ham10000",
        "--count",
        "14",
        "--size",
        "56",
        "--seed",
        "4100",
    )
    few = [f"data.root={folder / 'ham10000'}", "local.max_new_tokens=64"]
    skingpt("bench", "run", "bench_ham10000", "--out", labels, "--system", system, *settings(few))
    skingpt("bench", "report", bench, labels, "--out", folder / "report")
    skingpt("dermeval", "score", narratives(folder, corpus), "--out", folder / "scored")


def settings(values: list[str]) -> Iterator[str]:
    for value in values:
        yield from ("--set", value)


def ablation_recipe(folder: Path, corpus: Path) -> Path:
    place = folder / "recipes"
    place.mkdir(exist_ok=True)
    for name, parent in (("text", "nano_bias_text"), ("visual", "nano_bias_text_visual")):
        (place / f"golden_{name}.yaml").write_text(CELL.format(parent=f"{parent}.yaml"), "utf-8")
    (place / "golden.yaml").write_text(ABLATION.format(corpus=corpus), "utf-8")
    return place / "golden.yaml"


def narratives(folder: Path, corpus: Path) -> Path:
    """Kept narratives as `dermeval score` reads them."""
    path = folder / "narratives.jsonl"
    rows = [json.loads(line) for line in (corpus / "corpus.jsonl").read_text("utf-8").splitlines()]
    lines = [
        {
            "id": row["id"],
            "image": [f"corpus/{image}" for image in row["images"]],
            "diagnostic_text": row["narrative"],
        }
        for row in rows[:8]
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def digest(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file that a run made, without what may vary."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and path.name not in SKIPPED:
            content = path.read_bytes()
            if path.suffix in TEXTS:
                content = plain(path, folder).encode()
            found[name] = hashlib.sha256(content).hexdigest()
    return found


def plain(path: Path, folder: Path) -> str:
    """The text of a file without what may vary."""
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        text = json.dumps(without_varying(json.loads(text)), indent=1)
    elif path.suffix == ".jsonl":
        rows = (without_varying(json.loads(line)) for line in text.splitlines())
        text = "\n".join(json.dumps(row) for row in rows)
    text = text.replace(str(folder.resolve()), "OUT").replace(str(folder), "OUT")
    return re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.+:Z]*", "TIME", text)


def without_varying(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_varying(v) for k, v in value.items() if k not in VARIES}
    return [without_varying(item) for item in value] if isinstance(value, list) else value


def compare(first: Path, second: Path) -> int:
    """Print how two runs differ; the number of files that do."""
    before, after = digest(first), digest(second)
    wrong = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    for name in wrong:
        there = name in before and name in after
        found = first_difference(first, second, name) if there else "only in one run"
        sys.stdout.write(f"{name}: {found}\n")
    return len(wrong)


def first_difference(first: Path, second: Path, name: str) -> str:
    if Path(name).suffix not in TEXTS:
        return "other bytes"
    pairs = zip(
        plain(first / name, first).splitlines(),
        plain(second / name, second).splitlines(),
        strict=False,
    )
    for number, (a, b) in enumerate(pairs, 1):
        if a != b:
            at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
            start = max(at - 60, 0)
            return f"line {number}: ...{a[start : at + 60]!r} / ...{b[start : at + 60]!r}"
    return "one is longer"


def summary(folder: Path) -> dict[str, Any]:
    """What is kept of a run: exact where no model computes, numbers where one does."""
    stages = folder / "corpus" / "stages"
    rows = json.loads((folder / "report" / "results.json").read_text("utf-8"))
    return {
        "files": sorted({re.sub(r"[0-9a-f]{8,}", "HASH", name) for name in digest(folder)}),
        "cases": fields(stages / "0_cases.jsonl", "id", "label", "findings", "part", "split"),
        "texts": [
            fields(stages / name, "id", "text", "dropped", "detail")
            for name in ("1_observe.jsonl", "2_reason.jsonl", "3_normalise.jsonl", "4_audit.jsonl")
        ],
        "ratings": fields(
            folder / "corpus" / "certify" / "ratings.jsonl", "id", "rater", "scores", "unscored"
        ),
        "columns": columns(folder / "published"),
        "controls": {label(row): row["value"] for row in rows if is_exact(row)},
        "tables": sorted({f"{row['table']}: {row['metric']}" for row in rows if is_table(row)}),
        "ablation": [label(row) for row in read(folder / "ablation" / "results.json")],
        "scores": {label(row): row["value"] for row in rows if row["metric"] == "mean score"},
        "adapters": {
            path.relative_to(folder).as_posix(): norms(path)
            for path in sorted(folder.rglob("adapter/adapter_model.safetensors"))
        },
    }


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def fields(path: Path, *names: str) -> str:
    """A hash over some fields of every row: pictures may differ by a bit, these may not."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    kept = [[row.get(name) for name in names] for row in rows]
    return f"{len(rows)} rows, {hashlib.sha256(json.dumps(kept).encode()).hexdigest()}"


def columns(published: Path) -> dict[str, list[str]]:
    return {
        path.relative_to(published).as_posix(): [
            f"{field.name}: {field.type}" for field in parquet.read_schema(path)
        ]
        for path in sorted(published.rglob("*.parquet"))
    }


def label(row: dict[str, Any]) -> str:
    return f"{row['table']} | {row['system']} | {row['metric']}"


def is_exact(row: dict[str, Any]) -> bool:
    """Whether only rules made the number: fixed answers, read and judged by rules."""
    fixed = row["system"] in ("control/reference", "control/majority")
    return fixed and not row["table"].startswith(("scores, dermeval", "audit"))


def is_table(row: dict[str, Any]) -> bool:
    return not row["table"].startswith("audit") and " - " not in row["system"]


def norms(path: Path) -> dict[str, list[float]]:
    return {
        name: [*map(float, tensor.shape), float(np.linalg.norm(tensor.astype(np.float64)))]
        for name, tensor in sorted(load_file(path).items())
    }


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--compare"]:
        return int(compare(Path(arguments[1]), Path(arguments[2])) > 0)
    if arguments == ["--store"]:
        with tempfile.TemporaryDirectory() as place:
            golden_run(Path(place))
            GOLDEN.parent.mkdir(exist_ok=True)
            GOLDEN.write_text(json.dumps(summary(Path(place)), indent=1) + "\n", "utf-8")
        return 0
    folder = Path(arguments[0])
    golden_run(folder)
    (folder / "digest.json").write_text(json.dumps(digest(folder), indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
