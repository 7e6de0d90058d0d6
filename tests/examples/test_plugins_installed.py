"""The packages of examples/plugins/, installed as a user installs them, in the product's commands.

They go to a folder of their own that `PYTHONPATH` names; docs/extending.md shows them as they are.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from runpy import run_path

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from tiny_distill import write_backbone, write_pictures

from skingpt_r1.cli.main import run
from skingpt_r1.data import write_folder
from skingpt_r1.dermbench.records import Answer, Question
from skingpt_r1.distill.recipe import TeacherRecipe
from skingpt_r1.records import append_records, start_run
from source_tree import ROOT
from test_plugins import install

PLUGINS = ROOT / "examples" / "plugins"
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
FILES = [path for path in PLUGINS.glob("*/*") if path.suffix in (".py", ".toml")]
CHANGE = PLUGINS / "adapter.diff"
MODULES = ("config.py", "adapters/visual.py")
TEXT = "Observation: a red scaly plaque. Reasoning: scale supports it. A doctor can confirm this."


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """All five packages, built from copies and installed without a network."""
    folder = tmp_path_factory.mktemp("plugins")
    shutil.copytree(
        PLUGINS, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__py*")
    )
    options = "--quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation"
    sources = sorted(path.parent for path in (folder / "source").glob("*/pyproject.toml"))
    pip = [sys.executable, "-m", "pip", "install", *options.split(), "--target", folder / "site"]
    subprocess.run([*pip, *sources], check=True, timeout=120)
    return folder / "site"


def skingpt(site: Path, *words: object, code: int = 0) -> str:
    """What a command prints, errors included, in a process that sees the installed packages."""
    path = os.pathsep.join([str(site), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-m", "skingpt_r1.cli", *map(str, words)],
        env=os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "300"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


def clinic(folder: Path) -> Path:
    folder.mkdir()
    rows = ["file,patient,diagnosis,age"]
    for number in range(6):
        Image.new("RGB", (40, 40), (200, 150, 40 * number)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,p{number // 2},{('eczema', 'wart')[number % 2]},{30 + number}")
    (folder / "clinic.csv").write_text("\n".join(rows))
    return folder


def judged_run(folder: Path) -> Path:
    question = Question(
        id="q", benchmark="dermbench", group="q", form="narrative", prompt="?", images=(),
        sha256=(), label="psoriasis",
    )  # fmt: skip
    append_records(folder / "questions.jsonl", [question])
    start_run(folder, {"data": {"root": str(folder)}}, seed=0)
    append_records(folder / "answers" / "one.jsonl", [Answer(system="one", id="q", text=TEXT)])
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """A recipe of one step on a random backbone and six pictures, three of them taught."""
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "pictures").mkdir()
    write_folder(folder / "pictures", write_pictures(folder / "pictures", 6))
    values = {
        "name": "tiny",
        "backbone": str(write_backbone(folder / "backbone")),
        "data": {
            "dataset": "folder", "root": str(folder / "pictures"),
            "split": {"train": 0.5, "test": 0.5},
        },
        "adapter": {"visual": {"embed_dim": 16, "num_layers": 1, "bottleneck": 4}, "rank": 4},
        "train": {"max_steps": 1, "batch_size": 4, "log_every": 1},
    }  # fmt: skip
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), "utf-8")
    return path


def teacher_width(run_folder: Path) -> int:
    [path] = run_folder.rglob("teacher-*.safetensors")
    return next(iter(load_file(path).values())).shape[1]


def test_the_page_shows_the_files() -> None:
    shown = re.findall(r"^`examples/plugins/([\w./]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.M | re.S)
    assert dict(shown) == {
        path.relative_to(PLUGINS).as_posix(): path.read_text("utf-8") for path in (*FILES, CHANGE)
    }


def test_packages_are_short() -> None:
    for folder in {path.parent for path in FILES}:
        text = "".join(path.read_text("utf-8") for path in FILES if path.parent == folder)
        assert len([line for line in text.splitlines() if line]) <= 40, folder.name


def test_reader(site, tmp_path) -> None:
    root = clinic(tmp_path / "set")
    said = skingpt(site, "datasets", "check", "clinic", root)
    assert "Pictures of our clinic (clinic)" in said
    assert "eczema 3, wart 3" in said
    assert re.search(r"Groups: +3\b", said)
    with (root / "clinic.csv").open("a") as table:
        table.write("\n9.png,p9,wart,300")
    said = skingpt(site, "datasets", "check", "clinic", root, code=1)
    assert "clinic.csv row 8: age '300'" in said
    assert "clinic.csv row 8: no picture 9.png" in said


def test_judge(site, tmp_path) -> None:
    folder = judged_run(tmp_path)
    said = skingpt(site, "bench", "judge", folder, "--judge", "words", "--judge", "rubric")
    assert "words-1, decimals 0-5:\n  one: 1 of 1 scored" in said
    assert "no_reference" in said  # what the rules need and the words do not
    [path] = (folder / "judgements" / "words-1").glob("one.jsonl")
    kept = path.read_bytes()
    scores = json.loads(kept)["scores"]
    assert scores["Safety"] == 1
    assert scores["Description Precision"] == 2
    skingpt(site, "bench", "judge", folder, "--judge", "words")
    assert path.read_bytes() == kept


def test_teacher(site, recipe, tmp_path) -> None:
    out = tmp_path / "run"
    skingpt(site, "distill", recipe, "--set", "teacher.kind=colours", "--out", out)
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert teacher_width(out) == 64


@pytest.fixture
def installed(site, monkeypatch) -> None:
    """The packages, seen by this process too."""
    monkeypatch.syspath_prepend(str(site))


def test_encoder(installed, recipe, tmp_path) -> None:
    encoder = ("--set", "teacher.kind=encoder", "--set", "teacher.path=mosaic")
    assert run(["features", str(recipe), *encoder, "--out", str(tmp_path)]) == 0
    assert teacher_width(tmp_path) == 3 * 8 * 8


def test_family(site, recipe, tmp_path, monkeypatch, capsys) -> None:
    folder = shutil.copytree(recipe.parent / "backbone", tmp_path / "backbone")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "clinic_vl"}))
    assert run(["models", str(folder)]) == 1
    assert "'clinic_vl'; only qwen2_5_vl works" in capsys.readouterr().out
    monkeypatch.syspath_prepend(str(site))
    assert run(["models", str(folder)]) == 0
    assert "loads" in capsys.readouterr().out


BROKEN = {
    "readers": ["datasets", "check", "NAME", "."],
    "judges": ["bench", "judge", "RUN", "--judge", "NAME"],
    "teachers": ["features", "RECIPE", "--out", "OUT", "--set", "teacher.kind=NAME"],
    "encoders": [
        "features", "RECIPE", "--out", "OUT", "--set", "teacher.kind=encoder", "--set",
        "teacher.path=NAME",
    ],
}  # fmt: skip


@pytest.mark.parametrize("group", BROKEN)
def test_a_broken_one_is_one_line(group, recipe, tmp_path, monkeypatch, capsys) -> None:
    install(tmp_path / "site", monkeypatch, group, "mine = stranger:NUMBER", "NUMBER = 7\n")
    places = {
        "NAME": "mine", "RUN": str(judged_run(tmp_path / "run")), "RECIPE": str(recipe),
        "OUT": str(tmp_path / "out"),
    }  # fmt: skip
    pattern = re.compile("|".join(places))
    words = [pattern.sub(lambda found: places[found[0]], word) for word in BROKEN[group]]
    assert run(words) == 1
    err = capsys.readouterr().err
    kind = "Reader" if group == "readers" else "Callable"
    assert (
        f"the plug-in 'mine' of stranger (skingpt_r1.{group}, stranger:NUMBER) cannot be loaded: "
        f"it is a int, not a {kind}; repair or uninstall stranger"
    ) in err


def test_built_in_names_cannot_be_taken(recipe, tmp_path, monkeypatch, capsys) -> None:
    names = {"readers": "folder", "judges": "rubric", "teachers": "built-in"}
    for group, name in names.items():
        package = f"taker_of_{group}"
        install(tmp_path / group, monkeypatch, group, f"{name} = {package}:X", "1 / 0", package)
    assert run(["bench", "judge", str(judged_run(tmp_path / "run"))]) == 0
    assert "rubric-1, decimals 0-5" in capsys.readouterr().out
    assert run(["datasets", "check", "folder", str(recipe.parent / "pictures")]) == 0
    assert run(["datasets", "list"]) == 0
    assert "'folder' of taker_of_readers" in (err := capsys.readouterr().err)
    assert "its name is taken" in err
    assert run(["features", str(recipe), "--out", str(tmp_path / "out")]) == 0
    assert teacher_width(tmp_path / "out") == TeacherRecipe().width


def test_the_adapter_is_a_small_change(tmp_path) -> None:
    paths = re.findall(r"^--- a/(.+)$", CHANGE.read_text("utf-8"), re.M)
    assert len(paths) <= 3
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    subprocess.run(["git", "apply", CHANGE], cwd=tmp_path, check=True)
    config, visual = (run_path(tmp_path / f"src/skingpt_r1/model/{name}") for name in MODULES)
    settings = config["VisualConfig"](layers="gated", embed_dim=8, num_layers=2, bottleneck=2)
    adapter = visual["VisualAdapter"](settings, feature_dim=5)
    patches, lengths = torch.rand(7, 5), torch.tensor([3, 4])
    untrained = adapter(patches, lengths).embedding
    assert torch.equal(untrained[0], adapter.in_proj(patches[:3]).sum(0) / 3)
    with torch.no_grad():
        adapter.layers[0].contract.weight.fill_(1.0)
    assert not torch.equal(adapter(patches, lengths).embedding, untrained)
