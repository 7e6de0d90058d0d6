"""Teachers: vectors from disk, from an encoder directory, and from the built-in encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from skingpt_r1.case import Case
from skingpt_r1.distill.recipe import TeacherRecipe
from skingpt_r1.distill.run import teacher_vectors
from skingpt_r1.errors import TeacherError
from skingpt_r1.model.teachers import (
    DIAGNOSIS,
    UNLABELLED,
    read_targets,
    read_teacher,
    run_encoder,
    run_plugin,
    train_teacher,
)
from test_plugins import install

COLOURS = {"red": (200, 40, 40), "brown": (120, 80, 40)}


def paint(folder: Path, count: int, seed: int = 0) -> list[Case]:
    """Two labels that differ in colour; every third case has two pictures."""
    rng = np.random.default_rng(seed)
    cases = []
    for index in range(count):
        label = list(COLOURS)[index % 2]
        paths = []
        for number in range(2 if index % 3 == 0 else 1):
            noise = rng.integers(-30, 30, (64, 48, 3)) + np.array(COLOURS[label])
            paths.append(folder / f"{seed}-{index}-{number}.png")
            Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(paths[-1])
        cases.append(
            Case(
                id=f"{seed}-{index}", images=tuple(paths), dataset="paint", group=str(index),
                label=label, findings={"size": "small" if index % 4 < 2 else "large"},
            )
        )  # fmt: skip
    return cases


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    return paint(tmp_path, 3)


def vectors_of(cases: list[Case]) -> dict[str, np.ndarray]:
    names = [image.name for case in cases for image in case.images]
    return {name: np.arange(1, 5, dtype=np.float64)[None] + i for i, name in enumerate(names)}


def test_vectors_in_npy_files(cases, tmp_path) -> None:
    store = tmp_path / "vectors"
    store.mkdir()
    for index, (name, vector) in enumerate(vectors_of(cases).items()):
        np.save(store / (f"{Path(name).stem}.npy" if index % 2 else f"{name}.npy"), vector)
    found = read_teacher(store, cases)
    assert found["0-0"].shape == (2, 4)
    assert found["0-1"].tolist() == [[3, 4, 5, 6]]
    assert found["0-1"].dtype == torch.float32


def test_vectors_in_one_safetensors_file(cases, tmp_path) -> None:
    tensors = {name: torch.from_numpy(v) for name, v in vectors_of(cases).items()}
    save_file(tensors, tmp_path / "vectors.safetensors")
    found = read_teacher(tmp_path / "vectors.safetensors", cases)
    assert found["0-2"].tolist() == [[4, 5, 6, 7]]


def test_missing_vectors_are_listed(cases, tmp_path) -> None:
    np.save(tmp_path / "0-1-0.npy", np.ones(4))
    np.save(tmp_path / "0-0-0.npy", np.ones(4))
    with pytest.raises(TeacherError, match="2 of 3 cases have no teacher vector") as caught:
        read_teacher(tmp_path, cases)
    assert caught.value.case_ids == ("0-0", "0-2")


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (np.zeros(4), "zero or not finite"),
        (np.full(4, np.nan), "zero or not finite"),
        (np.ones(5), r"widths \[4, 5\]"),
    ],
)
def test_unusable_vectors_are_listed(vector, message, cases, tmp_path) -> None:
    for name, good in vectors_of(cases).items():
        np.save(tmp_path / f"{Path(name).stem}.npy", vector if name == "0-1-0.png" else good)
    with pytest.raises(TeacherError, match=message) as caught:
        read_teacher(tmp_path, cases)
    assert caught.value.case_ids == ("0-1",)


def test_damaged_files(cases, tmp_path) -> None:
    with pytest.raises(TeacherError, match="do not exist"):
        read_teacher(tmp_path / "nothing", cases)
    (tmp_path / "0-0-0.npy").write_bytes(b"torn")
    with pytest.raises(TeacherError, match="not a readable"):
        read_teacher(tmp_path, cases)
    with pytest.raises(TeacherError, match="does not exist"):
        run_encoder(tmp_path / "nothing", cases)
    with pytest.raises(TeacherError, match="not an image encoder"):
        run_encoder(tmp_path, cases)


def tiny_vit(folder: Path):
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=32, patch_size=16,
    )  # fmt: skip
    model = ViTModel(config)
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return model


def test_an_encoder_directory(cases, tmp_path) -> None:
    tiny_vit(tmp_path / "encoder")
    found = run_encoder(tmp_path / "encoder", cases, batch_size=2)
    assert {key: tuple(value.shape) for key, value in found.items()} == {
        "0-0": (2, 16), "0-1": (1, 16), "0-2": (1, 16),
    }  # fmt: skip


PLUGINS = """
import numpy as np

def embed(paths):
    return [[len(path.name), 1.0] for path in paths]

def too_few(paths):
    return np.ones((1, 2))

def broken(paths):
    raise RuntimeError("no weights")

def encoder(device):
    return lambda pictures: np.array([[*picture.size, 1.0] for picture in pictures])
"""


def test_teachers_of_other_packages(cases, tmp_path, monkeypatch) -> None:
    lines = "\n".join(
        f"their-{name} = their_teachers:{name}" for name in ("embed", "too_few", "broken")
    )
    install(tmp_path, monkeypatch, "teachers", lines, PLUGINS, "their_teachers")
    recipe = TeacherRecipe(kind="their-embed")
    vectors = teacher_vectors(recipe, cases, tmp_path, seed=0, manifest="m")
    assert vectors["0-0"].tolist() == [[9, 1], [9, 1]]
    assert vectors["0-1"].tolist() == [[9, 1]]
    with pytest.raises(TeacherError, match="1 vectors for 4 pictures"):
        run_plugin("their-too_few", cases)
    with pytest.raises(TeacherError, match="'their-broken' fails: no weights"):
        run_plugin("their-broken", cases)
    with pytest.raises(ValueError, match=r"kind 'theirs' is none of .*built-in.*their-embed"):
        TeacherRecipe(kind="theirs")


def test_encoders_of_other_packages(cases, tmp_path, monkeypatch) -> None:
    install(
        tmp_path,
        monkeypatch,
        "encoders",
        "theirs = their_encoders:encoder",
        PLUGINS,
        "their_encoders",
    )
    vectors = run_encoder(Path("theirs"), cases, batch_size=3)
    assert vectors["0-0"].tolist() == [[48, 64, 1]] * 2
    with pytest.raises(TeacherError, match="not exist; give its directory, or theirs"):
        run_encoder(Path("other"), cases)


def test_the_builtin_teacher_tells_labels_apart(tmp_path) -> None:
    state = torch.random.get_rng_state()
    train = paint(tmp_path, 24)
    teacher = train_teacher(train, width=8, epochs=4)
    assert torch.equal(torch.random.get_rng_state(), state)
    unseen = paint(tmp_path, 8, seed=1)
    found = teacher.embed(unseen)
    assert found["1-0"].shape == (2, 8)
    rows = functional.normalize(torch.stack([found[case.id][0] for case in unseen]))
    same = torch.tensor([[a.label == b.label for a in unseen] for b in unseen])
    likeness = rows @ rows.T
    assert likeness[same].min() > likeness[~same].max()


def test_the_builtin_teacher_repeats(tmp_path) -> None:
    cases = paint(tmp_path, 4)
    one, other = (train_teacher(cases, width=4, epochs=1, seed=5).embed(cases) for _ in range(2))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_targets(cases) -> None:
    unlabelled = Case(id="x", images=cases[0].images, dataset="d", group="g")
    targets = read_targets([*cases, unlabelled])
    assert list(targets) == [DIAGNOSIS, "size"]
    assert targets[DIAGNOSIS].tolist() == [1, 1, 0, 1, UNLABELLED, UNLABELLED]
    assert targets["size"].tolist() == [1, 1, 1, 0, UNLABELLED, UNLABELLED]
    with pytest.raises(TeacherError, match="nothing to learn"):
        read_targets([unlabelled])


def test_a_size_in_a_vector_file_is_not_believed(cases: list[Case], tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117)
    for path in cases[0].images:
        content = b"\x93NUMPY\x01\x00" + len(header + b"\n").to_bytes(2, "little") + header + b"\n"
        path.with_suffix(".npy").write_bytes(content)
    with pytest.raises(TeacherError, match="not a readable"):
        read_teacher(tmp_path, cases[:1])


def test_archives_and_texts_are_no_vectors(cases: list[Case], tmp_path: Path) -> None:
    path = cases[0].images[0].with_suffix(".npy")
    np.savez(tmp_path / "many.npz", np.ones(3))
    (tmp_path / "many.npz").rename(path)
    with pytest.raises(TeacherError, match="not a readable"):
        read_teacher(tmp_path, cases[:1])
    np.save(path, np.array(["a", "b"]))
    with pytest.raises(TeacherError, match="not a readable"):
        read_teacher(tmp_path, cases[:1])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_encoder_that_is_not_finite(value: float, cases: list[Case], tmp_path: Path) -> None:
    model = tiny_vit(tmp_path)
    model.layernorm.weight.data[3] = value
    model.save_pretrained(tmp_path)
    with pytest.raises(TeacherError, match=r"not finite in layernorm\.weight"):
        run_encoder(tmp_path, cases)


@pytest.mark.parametrize("content", [b"[]", b"{", b"null", b'{"model_type": []}', b"\xff"])
def test_an_encoder_directory_of_the_wrong_kind(
    content: bytes, cases: list[Case], tmp_path: Path
) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TeacherError):
        run_encoder(tmp_path, cases)
