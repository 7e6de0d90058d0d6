"""One tiny backbone, one run and one evaluator that has been taught to answer, for all files."""

from pathlib import Path

import pytest
import torch
from tiny_evaluator import teach, tiny_recipe, write_backbone, write_rating_file


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_backbone(tmp_path_factory.mktemp("evaluator") / "backbone")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Rating files of eight and of four narratives."""
    folder = tmp_path_factory.mktemp("ratings")
    return (
        write_rating_file(folder, "train.jsonl", range(8)),
        write_rating_file(folder, "test.jsonl", range(8, 12), seed=1),
    )


@pytest.fixture(scope="session")
def taught(backbone: Path, tmp_path_factory: pytest.TempPathFactory):
    """An evaluator that writes one readable brief critique, whatever it is asked."""
    folder = tmp_path_factory.mktemp("taught")
    return teach(backbone, folder)


@pytest.fixture
def recipe(backbone: Path, files: tuple[Path, Path]):
    return tiny_recipe(backbone, *files)
