"""What is stored of a golden run: the exact part, and the part that a model computes."""

import csv
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from golden_run import digest, read_lines

PICTURES = (".png", ".jpg")
RULE_STAGES = ("1_observe", "2_reason", "3_normalise", "4_audit")
RUNS = (
    "corpus",
    "distilled",
    "ablation/seed_0/filtered/bias_text",
    "evaluator",
    "bench",
    "labels",
    "scored",
)
RESULTS = ("corpus", "corpus/certify", "rated/certify", "agreement", "scored", "ablation", "report")
# These answer and are judged without a model of floats; so are the first stages of a corpus.
FIXED = ("control/reference", "control/majority")
FIXED_STAGES = ("observe", "reason", "normalise", "audit")
DIGITS = 6


def exact_values(folder: Path) -> dict[str, Any]:
    """What every processor computes alike."""
    return {
        "files": [name for name in digest(folder) if not name.endswith(PICTURES)],
        "recipes": {name: recipe(folder, folder / name) for name in RUNS},
        "cases": sha256(
            [row["id"], row["part"], row["label"], row["tone"], row["fitzpatrick"], row["findings"]]
            for row in read_lines(folder / "corpus" / "stages" / "0_cases.jsonl")
        ),
        "stages": {stage: rule_stage(folder, stage) for stage in RULE_STAGES},
        "sheets": {
            name: sheet(folder / name / "ratings.csv") for name in ("raters", "raters_again")
        },
        "decisions": {name: decisions(folder / name) for name in ("corpus", "rated")},
        "published": published(folder / "published"),
        "distilled on": json.loads((folder / "distilled/features/index.json").read_text())["ids"],
        "drawn set": sha256([(folder / "ham10000" / "HAM10000_metadata.csv").read_text("utf-8")]),
        "questions": {name: questions(folder / name) for name in ("bench", "labels")},
        "answers of controls": {
            name: sha256(fixed_answers(folder / name)) for name in ("bench", "labels")
        },
        "rules judge": {
            name: scores(folder / "bench" / "judgements" / "rubric-1" / f"{name}.jsonl")
            for name in ("control-reference", "control-majority")
        },
        "results": results(folder, fixed=True),
    }


def model_values(folder: Path) -> dict[str, Any]:
    """What other processors compute slightly differently."""
    return {
        "kept": [row["id"] for row in read_lines(folder / "corpus" / "corpus.jsonl")],
        "adapters": {
            path.relative_to(folder).as_posix(): tensors(path)
            for path in sorted(folder.glob("**/adapter/adapter_model.safetensors"))
            if path.parts[-4] != "evaluator"  # its stages; the second starts from the first
        },
        "training": [
            row
            for name in ("distilled", "evaluator/supervised")
            for row in read_lines(folder / name / "metrics.jsonl")
        ],
        "probabilities": {
            name: [
                {label: round(value, 4) for label, value in sorted(row["probabilities"].items())}
                for row in read_lines(folder / "labels" / "answers" / f"{name}.jsonl")[:4]
            ]
            for name in ("skingpt-nano", "mine")
        },
        "texts": [row["text"] for row in read_lines(folder / "bench" / "answers" / "mine.jsonl")],
        "results": results(folder, fixed=False),
    }


def recipe(folder: Path, run: Path) -> dict[str, Any]:
    text = (run / "run.json").read_text("utf-8").replace(str(folder.resolve()), "OUT")
    return json.loads(text)["recipe"]


def sha256(rows: Iterable[Any]) -> str:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    return hashlib.sha256(text.encode()).hexdigest()


def rule_stage(folder: Path, stage: str) -> dict[str, Any]:
    rows = read_lines(folder / "corpus" / "stages" / f"{stage}.jsonl")
    dropped = {row["id"]: f"{row['dropped']}: {row['detail']}" for row in rows if row["dropped"]}
    texts = [row["text"] for row in rows]
    return {"rows": len(rows), "dropped": dropped, "first": texts[:2], "all": sha256(texts)}


def sheet(path: Path) -> dict[str, list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        columns, *rows = csv.reader(file)
    return {"columns": columns, "rows": [f"{row[0]} to {row[1]}" for row in rows]}


def decisions(corpus: Path) -> dict[str, Any]:
    events = read_lines(corpus / "certify" / "history.jsonl")
    last = [event for event in events if event["event"] == "decisions"][-1]
    rows = {}
    for row in last["decisions"]:
        consensus = row["consensus"] and [round(value, DIGITS) for value in row["consensus"]]
        rows[row["case"]] = [row["state"], row["reasons"], row["ratings"], consensus]
    return {"limits": last["limits"], "cases": rows}


def published(folder: Path) -> dict[str, Any]:
    from pyarrow import parquet

    certified = parquet.read_table(next((folder / "data").glob("certified-*.parquet")))
    cases = json.loads((folder / "corpus.json").read_text("utf-8"))["cases"]
    return {
        "cases": cases,
        "columns": certified.column_names,
        "certified": certified.column("id").to_pylist(),
    }


def questions(bench: Path) -> dict[str, Any]:
    rows = read_lines(bench / "questions.jsonl")
    keys = ("group", "form", "prompt", "candidates", "reference", "findings", "tone", "licence")
    rest = sha256([row[key] for key in keys] for row in rows)
    return {"labels": {row["id"]: row["label"] for row in rows}, "rest": rest}


def fixed_answers(bench: Path) -> list[list[str]]:
    paths = sorted((bench / "answers").glob("control-*.jsonl"))
    return [[row["id"], row["text"]] for path in paths for row in read_lines(path)]


def scores(path: Path) -> dict[str, list[float]]:
    return {row["id"]: list(row["scores"].values()) for row in read_lines(path)}


def results(folder: Path, *, fixed: bool) -> dict[str, Any]:
    """File -> table -> system -> rows of metric, value, low, high, n."""
    found: dict[str, Any] = {}
    for name in RESULTS:
        tables: dict[str, Any] = {}
        for row in json.loads((folder / name / "results.json").read_text("utf-8")):
            if is_fixed(name, row["table"], row["system"]) == fixed:
                ends = [row[key] and round(row[key], DIGITS) for key in ("value", "low", "high")]
                systems = tables.setdefault(row["table"], {})
                systems.setdefault(row["system"], []).append([row["metric"], *ends, row["n"]])
        if tables:
            found[name] = tables
    return found


def is_fixed(name: str, table: str, system: str) -> bool:
    if name.endswith("certify"):
        return True
    if name == "corpus":
        return table == "corpus" or system in FIXED_STAGES
    return (
        name == "report"
        and "dermeval" not in table
        and all(part in FIXED for part in system.split(" - "))
    )


def tensors(path: Path) -> dict[str, Any]:
    """Name -> shape and norm."""
    from safetensors.torch import load_file

    found = sorted(load_file(path).items())
    return {name: [[*x.shape], float(f"{float(x.double().norm()):.5g}")] for name, x in found}


def store(folder: Path, place: Path) -> None:
    """Write the golden values of a run."""
    place.mkdir(exist_ok=True)
    for name, values in (("exact", exact_values(folder)), ("model", model_values(folder))):
        (place / f"{name}.json").write_text(layout(values) + "\n", "utf-8")


def layout(value: Any, indent: str = "") -> str:
    """JSON, of which everything that is short stands on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, dict | list) or len(indent) + len(line) <= 100:
        return line
    deeper = indent + " "
    if isinstance(value, list):
        parts, ends = [layout(item, deeper) for item in value], "[]"
    else:
        parts = [f"{json.dumps(key)}: {layout(item, deeper)}" for key, item in value.items()]
        ends = "{}"
    lines = ",\n".join(deeper + part for part in parts)
    return f"{ends[0]}\n{lines}\n{indent}{ends[1]}"
