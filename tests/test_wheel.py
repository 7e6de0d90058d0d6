"""What an installed copy needs lies in the wheel: recipes, templates, weights, word lists."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from source_tree import PACKAGE, ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    place = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, place)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(PACKAGE.parent, place / "src", ignore=ignored)
    command = [
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--no-index", "--wheel-dir", str(place), str(place),
    ]  # fmt: skip
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return next(place.glob("*.whl"))


def test_a_wheel_brings_every_file_that_is_not_code(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert not sorted(wanted - packed)
    parts = {Path(name).parent.as_posix() for name in wanted if not name.endswith(".py")}
    assert {"skingpt_r1/recipes", "skingpt_r1/model/weights", "skingpt_r1/dermeval/weights"} < parts
    assert "skingpt_r1/dermbench/report/templates" in parts


def test_an_installed_copy_reads_the_recipes_of_the_demo_anywhere(
    wheel: Path, tmp_path: Path
) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = """
import skingpt_r1
from skingpt_r1.cli.main import run
from skingpt_r1.dermbench.ablation.run import load_ablation
from skingpt_r1.distill.recipe import load_recipe
from skingpt_r1.recipes import RECIPES

assert "site" in skingpt_r1.__file__
for cell in load_ablation("ablation_demo", ["corpus=c"]).cells:
    load_recipe(RECIPES / cell.recipe, cell.settings)
few = ["--set", "cases.count=20", "--set", "cases.held_out=4"]
assert run(["dermcot", "build", "dermcot_demo", *few, "--dry-run"]) == 0
"""
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path / "elsewhere",
        env={"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "20 candidates of synthetic, 4 held out" in done.stdout
