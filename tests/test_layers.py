"""Imports point down only. The table is drawn from the code."""

import subprocess
import sys

import pytest

from source_tree import PACKAGE, circles, import_graph, source_files

LEVELS = {
    "cli": 7,
    "dermbench": 6,
    "dermcot": 5,
    "dermeval": 5,
    "distill": 4,
    "evidence": 4,
    "model": 3,
    "simulate": 3,
    "ratings": 3,
    "data": 2,
    "render": 2,
    "llm": 2,
    "text": 1,
    "stats": 1,
    "records": 1,
    "runs": 1,
    "recipes": 1,
    "plugins": 1,
    "case": 0,
    "errors": 0,
}
SIBLINGS = {("dermcot", "dermeval"), ("dermeval", "dermcot")}
TORCH_UNITS = {"model", "distill", "evidence", "dermeval"}
GRAPH = import_graph()


def unit(module: str) -> str:
    """The room (folder) or file directly below the package; the package itself is `.`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "."


def unit_graph() -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {}
    for module, targets in GRAPH.items():
        graph.setdefault(unit(module), set()).update(unit(target) for target in targets)
    return {name: targets - {name, "."} for name, targets in graph.items() if name != "."}


def test_every_unit_has_a_level() -> None:
    assert {unit(module) for module in GRAPH} - {"."} <= set(LEVELS)


@pytest.mark.parametrize("name", sorted(unit_graph()))
def test_imports_point_down(name: str) -> None:
    upward = {target for target in unit_graph()[name] if LEVELS[target] > LEVELS[name]}
    assert not upward, f"{name} (level {LEVELS[name]}) imports {sorted(upward)} from above"


def test_siblings_do_not_know_each_other() -> None:
    arrows = {(name, target) for name, targets in unit_graph().items() for target in targets}
    assert not arrows & SIBLINGS


def test_no_circle_between_files() -> None:
    graph = {name: targets for name, targets in GRAPH.items() if name != PACKAGE.name}
    assert circles(graph) == []


def test_no_circle_between_units() -> None:
    assert circles(unit_graph()) == []


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": set()}) == [["a", "b", "c", "a"]]


def test_only_the_command_line_imports_the_package_itself() -> None:
    importers = {name for name, targets in GRAPH.items() if PACKAGE.name in targets}
    assert {unit(name) for name in importers} <= {"cli"}


def light_modules() -> list[str]:
    names = [name for name in GRAPH if unit(name) not in TORCH_UNITS]
    return sorted(name for name in names if not name.endswith("__main__"))


def test_light_modules_load_without_torch() -> None:
    assert source_files()
    program = (
        "import importlib, sys\n"
        f"for name in {light_modules()!r}:\n"
        "    importlib.import_module(name)\n"
        "    heavy = {'torch', 'transformers'} & set(sys.modules)\n"
        "    assert not heavy, f'{name} loads {sorted(heavy)}'\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
