"""Our numbers against those of the released code, on its toy-size checkpoint."""

import copy
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from skingpt_r1.model.load import describe_directory, load_model
from skingpt_r1.model.skingpt import SkinGPT, SkinGPTOutput

GOLDEN = Path(__file__).resolve().parents[2].parent / "shared" / "golden"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="../shared/golden is not here")

INPUTS = ("input_ids", "attention_mask", "pixel_values", "image_grid_thw")


@pytest.fixture(scope="module")
def model() -> SkinGPT:
    return load_model(GOLDEN / "checkpoint")


@pytest.fixture(scope="module")
def expected() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "expected.safetensors")


@pytest.fixture(scope="module")
def output(model: SkinGPT, expected: dict[str, torch.Tensor]) -> SkinGPTOutput:
    with torch.no_grad():
        return model(**{name: expected[name] for name in INPUTS})


@pytest.fixture(scope="module")
def losses() -> dict[str, float]:
    return json.loads((GOLDEN / "losses.json").read_text())


def test_logits_with_the_bias(output, expected) -> None:
    real = expected["attention_mask"].bool()
    torch.testing.assert_close(
        output.logits[real], expected["logits_bias_everywhere"][real], rtol=0, atol=1e-4
    )


def test_logits_without_the_bias(model, expected) -> None:
    with torch.no_grad():
        plain = model(**{name: expected[name] for name in INPUTS}, adapters=False)
    real = expected["attention_mask"].bool()
    torch.testing.assert_close(
        plain.logits[real], expected["logits_without_bias"][real], rtol=0, atol=1e-4
    )


def test_embedding_and_tone(output, expected) -> None:
    stored = expected["vision_proj"]
    # Entries reach 39 and the stored fp32 sums are 2.7e-4 from float64 ones: 1e-4 is of the scale.
    scale = float(stored.abs().max())
    torch.testing.assert_close(output.teacher_projection, stored, rtol=0, atol=1e-4 * scale)
    torch.testing.assert_close(output.image_embedding, stored, rtol=0, atol=1e-4 * scale)
    torch.testing.assert_close(output.tone_logits, expected["skin_logits"], rtol=0, atol=1e-4)


def test_embedding_is_as_near_to_float64_as_the_stored_one(model, output, expected) -> None:
    exact = copy.deepcopy(model.visual_adapter).double()
    lengths = expected["image_grid_thw"].prod(-1)
    with torch.no_grad():
        embedding = exact(expected["pixel_values"].double(), lengths).embedding
    ours = (output.image_embedding - embedding).abs().max()
    stored = (expected["vision_proj"] - embedding).abs().max()
    assert ours <= max(stored, 1e-4)


def test_visual_loss(output, expected, losses) -> None:
    similarity = functional.cosine_similarity(output.teacher_projection, expected["teacher_feat"])
    published = 10 * (1 - similarity).mean()
    assert float(published) == pytest.approx(losses["loss_distill"], abs=1e-4)


def test_balance_loss(output, losses) -> None:
    num_images = len(output.image_embedding)
    assert float(output.balance) * num_images == pytest.approx(losses["loss_aux"], abs=1e-4)


def test_tone_loss(output, expected, losses) -> None:
    loss = functional.cross_entropy(output.tone_logits, expected["skin_labels"])
    assert float(loss) == pytest.approx(losses["loss_skin"], abs=1e-4)


def test_our_loss_terms(output, expected, losses) -> None:
    terms = pytest.importorskip("skingpt_r1.distill.losses")
    visual = terms.visual_term(output.teacher_projection, expected["teacher_feat"])
    tone = terms.tone_term(output.tone_logits, expected["skin_labels"])
    balance = terms.balance_term(output.balance, len(output.image_embedding))
    assert 10 * float(visual.total / visual.count) == pytest.approx(
        losses["loss_distill"], abs=1e-4
    )
    assert float(tone.total / tone.count) == pytest.approx(losses["loss_skin"], abs=1e-4)
    assert float(balance.total) == pytest.approx(losses["loss_aux"], abs=1e-4)


def test_text_loss_on_positions_that_the_release_supervises(model, expected, losses) -> None:
    logits = expected["logits_bias_at_supervised_positions"][:, :-1]
    labels = expected["labels"][:, 1:]
    loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    assert float(loss) == pytest.approx(losses["loss_sft"], abs=1e-4)


def test_a_directory_without_tokenizer_is_described(model) -> None:
    report = describe_directory(GOLDEN / "checkpoint")
    assert (report.kind, report.loads) == ("released", True)
    assert any("tokenizer: none" in line for line in report.details)
    assert model.processor is None
