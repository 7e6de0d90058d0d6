"""The public surface is a contract: names, documentation, lightness, version."""

import inspect
import subprocess
import sys
import tomllib

import pytest

import skingpt_r1 as sg
from source_tree import ROOT

CONTRACT = {"load_model", "load_cases", "parse_narrative", "parse_scores", "Narrative", "Scores"}


def test_contract_names_are_exported() -> None:
    assert set(sg.__all__) >= CONTRACT
    assert list(sg.__all__) == sorted(sg.__all__)
    assert set(sg.__all__) <= set(dir(sg))


@pytest.mark.parametrize("name", sg.__all__)
def test_every_exported_name_exists_and_is_documented(name: str) -> None:
    value = getattr(sg, name)
    assert value.__name__ == name
    assert inspect.getdoc(value)
    assert value.__module__.startswith("skingpt_r1.")


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="load_modle"):
        _ = sg.load_modle


def test_import_is_light() -> None:
    program = (
        "import sys, skingpt_r1; assert not {'torch', 'transformers', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == sg.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog or f"## [{sg.__version__}]" in changelog


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {item.split(">")[0].split("=")[0].strip().lower().replace("-", "_") for item in wanted}
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower().replace("-", "_") for line in pins if "==" in line}
    assert names <= pinned
    assert "torch==2.13.0" in pins
