"""What the shipped weights have seen, and what they have not."""

import ast
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from skingpt_r1.nano import build, schooling
from skingpt_r1.nano.build import WEIGHTS

MANIFEST = json.loads((WEIGHTS / "manifest.json").read_text("utf-8"))


def test_build_never_loads_the_renderer_of_skin():
    code = (
        "import sys, skingpt_r1.nano.build\n"
        "print([m for m in sys.modules if m.startswith('skingpt_r1.synthetic')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_sources_name_no_skin_picture():
    pictures = [source for source in MANIFEST["sources"] if "pictures" in source]
    assert [source["pictures"] for source in pictures] == ["skingpt_r1.nano.scenes.draw_scene"]
    assert pictures[0]["skin_pictures"] == 0
    assert pictures[0]["count"] == MANIFEST["settings"]["scenes"]
    imported = {
        node.module
        for path in Path(schooling.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert not any("synthetic" in name for name in imported)


def test_first_block_of_pictures_is_what_the_manifest_says():
    _, pictures, *_ = schooling._draw_block(
        (0, schooling.BLOCK, MANIFEST["settings"]["seed"], build.PICTURE_SIZE)
    )
    source = next(source for source in MANIFEST["sources"] if "pictures" in source)
    assert hashlib.sha256(pictures.data).hexdigest() == source["first_block_sha256"]


def test_settings_are_those_of_the_build():
    assert MANIFEST["settings"] == build.SETTINGS


def test_weights_are_small():
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 12 * 2**20


def test_tower_stage_learns_and_keeps_its_pool(tmp_path):
    """A toy stage: the loss on few scenes falls, and a second call reads the pool back."""
    pool = schooling.draw_pool(tmp_path, 1040, seed=0, size=56, workers=1)
    again = schooling.draw_pool(tmp_path, 1040, seed=0, size=56, workers=1)
    assert torch.equal(pool.labels, again.labels)
    assert pool.pictures.shape == (1040, 56, 56, 3)


@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors"])
def test_files_are_there(name):
    assert (WEIGHTS / name).is_file()
