"""What the shipped weights have seen, and what they have not."""

import ast
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tools.nano import build
from tools.nano import schooling as pool
from tools.nano.build import WEIGHTS

MANIFEST = json.loads((WEIGHTS / "manifest.json").read_text("utf-8"))


def test_build_never_loads_the_renderer_of_skin():
    code = (
        "import sys, tools.nano.build\n"
        "print([m for m in sys.modules if m.startswith('skingpt_r1.render')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_sources_name_no_skin_picture():
    pictures = [source for source in MANIFEST["sources"] if "pictures" in source]
    drawn = [source["pictures"].rpartition(".")[2] for source in pictures]
    assert drawn == ["draw_closeup", "draw_scene"]
    assert [source["skin_pictures"] for source in pictures] == [0, 0]
    counts = [MANIFEST["settings"][name] for name in ("closeups", "scenes")]
    assert [source["count"] for source in pictures] == counts
    imported = {
        node.module
        for path in Path(pool.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert not any("render" in name for name in imported)


@pytest.mark.parametrize(("place", "closeups"), [(0, True), (1, False)])
def test_first_block_of_pictures_is_what_the_manifest_says(place, closeups):
    size = build.PICTURE_SIZE // 2 if closeups else build.PICTURE_SIZE
    seed = MANIFEST["settings"]["seed"]
    _, pictures, *_ = pool.draw_block((0, pool.BLOCK, seed, size, closeups))
    source = MANIFEST["sources"][place]
    assert hashlib.sha256(pictures.data).hexdigest() == source["first_block_sha256"]


def test_scores_and_diagnoses_were_drawn_at_random():
    texts = next(source for source in MANIFEST["sources"] if "texts" in source)
    assert texts["dermatology_diagnoses"].startswith("drawn at random")
    assert texts["scores"].startswith("drawn at random")


def test_settings_are_those_of_the_build():
    assert MANIFEST["settings"] == build.SETTINGS


def test_weights_are_small():
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 12 * 2**20


@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors"])
def test_files_are_there(name):
    assert (WEIGHTS / name).is_file()
