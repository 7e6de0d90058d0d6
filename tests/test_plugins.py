"""Entry points of other packages: found by name, and a broken one says which it is."""

from collections.abc import Callable

import pytest

from skingpt_r1.errors import SkinGPTError
from skingpt_r1.plugins import load_plugins


def install(
    folder, monkeypatch, group: str, lines: str, code: str = "", package="stranger"
) -> None:
    """A package of another author, as pip would leave it, on the path."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[skingpt_r1.{group}]\n{lines}\n")
    (folder / f"{package}.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))


def test_no_plugins() -> None:
    assert load_plugins("no_such_group", "mine") == {}


def test_a_plugin_is_found_by_its_name(tmp_path, monkeypatch) -> None:
    install(
        tmp_path, monkeypatch, "trials", "mine = stranger_a:NUMBER", "NUMBER = 7\n", "stranger_a"
    )
    assert load_plugins("trials", "mine") == {"mine": 7}


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        ("mine = stranger_b:NUMBER", "raise OSError('two\\nlines')\n", "two lines"),
        ("mine = stranger_b:OTHER", "NUMBER = 7\n", "OTHER"),
        ("mine = no_such_module:NUMBER", "", "no_such_module"),
    ],
)
def test_a_broken_plugin_is_named_in_one_line(tmp_path, monkeypatch, lines, code, said) -> None:
    monkeypatch.delitem(__import__("sys").modules, "stranger_b", raising=False)
    install(tmp_path, monkeypatch, "trials", lines, code, "stranger_b")
    with pytest.raises(SkinGPTError) as caught:
        load_plugins("trials", "mine")
    message = str(caught.value)
    assert "'mine' of stranger_b" in message
    assert said in message
    assert len(message.splitlines()) == 1


def test_two_packages_with_one_name(tmp_path, monkeypatch) -> None:
    for package in ("stranger_c", "stranger_d"):
        lines = f"mine = {package}:NUMBER"
        install(tmp_path / package, monkeypatch, "trials", lines, "NUMBER = 7\n", package)
    with pytest.raises(SkinGPTError, match="two packages"):
        load_plugins("trials", "mine")


def test_a_broken_neighbour_stops_nobody_else(tmp_path, monkeypatch) -> None:
    lines = "mine = stranger_e:NUMBER\nother = stranger_e:ABSENT\ntaken = stranger_e:NUMBER"
    install(tmp_path, monkeypatch, "trials", lines, "NUMBER = 7\n", "stranger_e")
    assert load_plugins("trials", "mine", taken={"taken": 1}) == {"mine": 7}
    with pytest.raises(SkinGPTError, match=r"'taken' of stranger_e .* its name is taken"):
        load_plugins("trials", "taken", taken={"taken": 1})
    with pytest.raises(SkinGPTError, match="is a int, not a Callable"):
        load_plugins("trials", "mine", Callable)
