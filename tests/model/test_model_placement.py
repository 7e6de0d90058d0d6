"""Where models go: one place that chooses, by names that recipes, commands and functions share."""

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from skingpt_r1.errors import DeviceError
from skingpt_r1.model import config as placement
from skingpt_r1.model.config import ModelRecipe, place
from skingpt_r1.model.load import load_model


def machine(monkeypatch: pytest.MonkeyPatch, *, cards: int = 0, mps: bool = False) -> None:
    """A machine with so many CUDA cards, and an Apple accelerator or none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cards", "mps", "device", "dtype"),
    [
        (0, False, "cpu", torch.float32),
        (1, False, "cuda", torch.bfloat16),
        (2, True, "cuda", torch.bfloat16),
        (0, True, "mps", torch.float32),
    ],
)
def test_auto_takes_the_first_accelerator(
    monkeypatch: pytest.MonkeyPatch, cards: int, mps: bool, device: str, dtype: torch.dtype
) -> None:
    machine(monkeypatch, cards=cards, mps=mps)
    assert place() == (torch.device(device), dtype)


def test_names_are_taken_at_their_word(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cards=2)
    assert place("cpu") == (torch.device("cpu"), torch.float32)
    assert place("cpu", "bf16") == (torch.device("cpu"), torch.bfloat16)
    assert place("cuda:1", "fp32") == (torch.device("cuda", 1), torch.float32)
    assert place("cuda", "fp16") == (torch.device("cuda"), torch.float16)
    assert place(torch.device("meta"), torch.float64) == (torch.device("meta"), torch.float64)


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "", "meta"])
def test_a_name_that_is_no_device(name: str) -> None:
    with pytest.raises(DeviceError, match="give auto, cpu, cuda"):
        place(name)
    with pytest.raises(ValidationError, match="give auto, cpu, cuda"):
        ModelRecipe(device=name)


@pytest.mark.parametrize("name", ["float32", "int8", "", "FP32"])
def test_a_name_that_is_no_dtype(name: str) -> None:
    with pytest.raises(DeviceError, match="give auto, fp32, bf16, fp16"):
        place("cpu", name)
    with pytest.raises(ValidationError, match="give auto, fp32, bf16, fp16"):
        ModelRecipe(dtype=name)


@pytest.mark.parametrize(
    ("cards", "name", "have"), [(0, "cuda", "cpu"), (1, "cuda:1", "cuda:0, cpu"), (0, "mps", "cpu")]
)
def test_a_device_that_this_machine_lacks(
    monkeypatch: pytest.MonkeyPatch, cards: int, name: str, have: str
) -> None:
    machine(monkeypatch, cards=cards)
    with pytest.raises(DeviceError, match=rf"no device '{name}'; it has {have};"):
        place(name)


def test_training_shares_all_cards_and_takes_none_by_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch, cards=2)
    with pytest.raises(DeviceError, match="CUDA_VISIBLE_DEVICES=1"):
        placement.training_state("cuda:1")
    assert placement.training_state("cpu").device.type == "cpu"


def test_a_loaded_model_is_where_it_was_asked_to_be() -> None:
    model = load_model("nano", device="cpu", dtype="bf16")
    wanted = SimpleNamespace(device=torch.device("cpu"), dtype=torch.bfloat16)
    assert {weight.device for weight in model.backbone.parameters()} == {wanted.device}
    assert {weight.dtype for weight in model.backbone.parameters()} == {wanted.dtype}
