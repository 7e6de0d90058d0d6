"""`skingpt demo` and `real`: where their numbers go. What they do is tested where it is made."""

import json
from pathlib import Path

from made_run import write_run

from skingpt_r1.cli.demo import _report
from skingpt_r1.records import ResultRow
from skingpt_r1.runs import own_run


def test_the_demo_has_one_table_in_its_own_folder(tmp_path: Path) -> None:
    write_run(tmp_path / "dermbench", cases=8, systems=("good", "base"))
    cell = ResultRow(table="ablation", system="base", metric="diagnosis accuracy", value=0.5, n=8)
    with own_run(tmp_path):
        _report([tmp_path / "dermbench"], tmp_path, [cell])
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("results.json")] == [
        Path("results.json")
    ]
    rows = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert all(
        list(row) == ["table", "system", "metric", "value", "low", "high", "n"] for row in rows
    )
    assert cell.model_dump() in rows
    assert {"good", "base"} <= {row["system"] for row in rows}
    assert (tmp_path / "report" / "report.html").is_file()
