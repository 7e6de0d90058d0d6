"""`inspect eval skingpt_r1/dermbench --model skingpt/nano`, as it is typed."""

import base64
import io
import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from PIL import Image

from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.rubric import DIMENSIONS

COMMAND = Path(sys.executable).with_name("inspect")


def test_the_command_leaves_a_log_with_pictures_narratives_and_scores(tmp_path):
    log_module = pytest.importorskip("inspect_ai.log", reason="inspect-ai is not installed")
    if "skingpt_r1" not in {point.name for point in entry_points(group="inspect_ai")}:
        pytest.skip("the package was installed before it had entry points; install it again")
    arguments = ["eval", "skingpt_r1/dermbench", "--model", "skingpt/nano", "-T", "count=3"]
    environment = {**os.environ, "INSPECT_LOG_DIR": str(tmp_path / "logs")}
    command = [str(COMMAND), *arguments, "--max-tokens", "120", "--display", "none"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

    (path,) = (tmp_path / "logs").glob("*.eval")
    log = log_module.read_eval_log(str(path), resolve_attachments=True)
    assert (log.status, log.eval.task, log.eval.model) == (
        "success",
        "skingpt_r1/dermbench",
        "skingpt/nano",
    )
    assert log.eval.metadata["notice"] == "For research, not for diagnosis."
    assert len(log.samples) == 3
    for sample in log.samples:
        picture, asked = sample.input[0].content
        head, _, content = picture.image.partition(";base64,")
        assert head == "data:image/jpeg"
        with Image.open(io.BytesIO(base64.b64decode(content))) as shown:
            assert min(shown.size) >= 64
        assert "name the diagnosis" in asked.text
        assert parse_narrative(sample.output.completion).diagnosis
        assert parse_narrative(sample.target).diagnosis == sample.metadata["question"]["label"]
        verdict, rubric = sample.scores["label_verdict"], sample.scores["rubric"]
        assert verdict.value in ("C", "I")
        assert sample.metadata["question"]["label"] in verdict.explanation
        assert set(rubric.value) == set(DIMENSIONS)
        assert all(f"{name}: " in rubric.explanation for name in DIMENSIONS)
        assert rubric.answer == sample.output.completion
    means = {(item.scorer, item.name): item.metrics for item in log.results.scores}
    accuracy = [sample.scores["rubric"].value["Accuracy"] for sample in log.samples]
    assert means["rubric", "Accuracy"]["mean"].value == pytest.approx(sum(accuracy) / 3)
    # No path of the machine but the log's own place.
    assert str(tmp_path) not in json.dumps([sample.metadata for sample in log.samples])
