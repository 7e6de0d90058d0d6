"""Readers of other packages: found by name, and a broken one hides nothing."""

import sys
from pathlib import Path

import pytest
from small_sets import build

from skingpt_r1.cli.main import run
from skingpt_r1.data import READERS, find_readers, load_cases, reader_of
from skingpt_r1.errors import DatasetError
from test_plugins import install

CODE = """
from skingpt_r1.data.readers.folder import READER as FOLDER
from skingpt_r1.data.reading import Reader
from skingpt_r1.data.table import Table

READER = Reader(
    name="clinic", title="A clinic", licence="its own", citation="none", url="none",
    layout="clinic.csv", group_key="patient",
    fill=Table(
        files=("clinic.csv",), columns=("file", "patient", "diagnosis"), pictures=("file",),
        group="patient", label="diagnosis",
    ),
)
NUMBER = 7
"""


def clinic(root: Path) -> Path:
    build("ham10000", root)
    names = [f"ISIC_{n}.jpg,p{n // 2},eczema" for n in range(5)]
    (root / "clinic.csv").write_text("\n".join(["file,patient,diagnosis", *names]))
    return root


def test_a_reader_of_another_package(tmp_path, monkeypatch, capsys) -> None:
    install(tmp_path / "site", monkeypatch, "readers", "clinic = clinic_a:READER", CODE, "clinic_a")
    root = clinic(tmp_path / "set")
    cases = load_cases("clinic", root)
    assert [case.group for case in cases] == ["p0", "p0", "p1", "p1", "p2"]
    assert {case.dataset for case in cases} == {"clinic"}
    assert run(["datasets", "check", "clinic", str(root)]) == 0
    assert "eczema 5" in capsys.readouterr().out
    assert run(["datasets", "list"]) == 0
    assert "A clinic: its own" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("clinic = no_such_module:READER", "ModuleNotFoundError"),
        ("clinic = clinic_b:NUMBER", "is a int, not a Reader"),
        ("ham10000 = clinic_b:READER", "name is taken"),
    ],
)
def test_a_broken_one_is_one_line(tmp_path, monkeypatch, capsys, line, said) -> None:
    monkeypatch.delitem(sys.modules, "clinic_b", raising=False)
    install(tmp_path / "site", monkeypatch, "readers", line, CODE, "clinic_b")
    readers, broken = find_readers()
    assert readers == READERS
    name = line.partition(" ")[0]
    assert f"{name!r} of clinic_b" in broken[name]
    assert said in broken[name]
    assert run(["datasets", "list"]) == 0
    out, err = capsys.readouterr()
    assert "ham10000 " in out
    assert err.splitlines() == [broken[name]]
    assert len(load_cases("ham10000", build("ham10000", tmp_path / "set"))) == 5
    if name == "clinic":
        with pytest.raises(DatasetError, match="of clinic_b"):
            load_cases("clinic", tmp_path)


def test_a_file_is_a_reader_of_its_name() -> None:
    for name, reader in READERS.items():
        assert reader.name == name
        assert reader_of(name) is reader
