"""Cells and readers: order, size, what is saved, what is refused, and calibration."""

import json

import pytest
import torch
from PIL import Image

from skingpt_r1.errors import CheckpointError, TrainingError
from skingpt_r1.evidence.cells import SIDE, spread_layers, tower_cells
from skingpt_r1.evidence.reader import FindingReader, ReaderConfig, indices_of
from skingpt_r1.evidence.training import KnownPictures, fit_temperature, teach_reader
from skingpt_r1.evidence.verify import NANO_READER, load_verifier
from skingpt_r1.model.config import BackboneReference

SLOTS = {"colour": ("red", "blue"), "size": ("small", "medium", "large")}


def toy(count, seed):
    """Pictures whose cells say what they are: the colour in one cell, the size in all."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.randint(2, (count,), generator=generator)
    sizes = torch.randint(3, (count,), generator=generator)
    cells = 0.3 * torch.randn(count, SIDE**2, 8, generator=generator)
    where = torch.randint(SIDE**2, (count,), generator=generator)
    cells[torch.arange(count), where, 0] += 6.0 * (2 * colours - 1)
    cells[:, :, 1] += sizes[:, None] - 1.0
    facts = [
        {"colour": SLOTS["colour"][int(c)], "size": SLOTS["size"][int(s)]}
        for c, s in zip(colours, sizes, strict=True)
    ]
    facts[0] = {"size": facts[0]["size"]}  # not everything is known of every picture
    return KnownPictures(cells.half(), torch.randn(count, 68, generator=generator), facts)


@pytest.fixture(scope="module")
def taught():
    config = ReaderConfig(slots=SLOTS, layers=(0,), width=16)
    return teach_reader(config, toy(512, 0), toy(128, 1), epochs=12)


def test_layers_are_spread_and_the_last_is_among_them():
    assert spread_layers(4) == (0, 1, 2, 3)
    assert spread_layers(32) == (7, 15, 23, 31)
    assert spread_layers(3) == (0, 1, 2)


def test_cells_are_the_tower_states_at_their_place(verifier):
    """Of a picture with one bright corner, the corner's cells differ most from the plain one's."""
    model, layers = verifier.model, (0,)
    plain = Image.new("RGB", (112, 112), (150, 110, 90))
    for left, top in ((0, 0), (98, 0), (0, 98), (98, 98), (42, 70)):
        spot = plain.copy()
        spot.paste((250, 250, 250), (left, top, left + 14, top + 14))
        found = tower_cells(model, [plain, spot], layers).float()
        place = int((found[1] - found[0]).norm(dim=1).argmax())
        assert (place % SIDE, place // SIDE) == (left // 14, top // 14)


def test_batches_and_shapes_change_nothing(verifier):
    pictures = [Image.effect_noise(size, 60).convert("RGB") for size in ((112, 112), (140, 84))]
    both = tower_cells(verifier.model, pictures, (1, 3))
    single = [tower_cells(verifier.model, [picture], (1, 3))[0] for picture in pictures]
    torch.testing.assert_close(both.float(), torch.stack(single).float(), rtol=1e-2, atol=1e-2)
    assert both.shape == (2, SIDE**2, 2 * 128)


def test_a_reader_learns_what_stands_in_one_cell_and_what_in_all(taught):
    test = toy(256, 2)
    known = indices_of(SLOTS, test.facts)
    for row, (slot, chances) in enumerate(taught.probabilities(test.cells).items()):
        torch.testing.assert_close(chances.sum(1), torch.ones(256))
        rows = known[:, row] >= 0
        assert (chances.argmax(1) == known[:, row])[rows].float().mean() > 0.9, slot


def test_what_is_saved_is_what_is_loaded(taught, tmp_path):
    taught.save_pretrained(tmp_path)
    loaded = FindingReader.from_pretrained(tmp_path)
    assert loaded.config == taught.config
    cells = toy(16, 3).cells
    for slot, chances in loaded.probabilities(cells).items():
        torch.testing.assert_close(chances, taught.probabilities(cells)[slot], atol=5e-3, rtol=0)


def test_another_backbone_is_refused(verifier, tmp_path):
    other = BackboneReference(name="other", revision="f" * 64)
    with pytest.raises(
        CheckpointError, match=r"was taught on backbone 'nano'.*'other' has weights"
    ):
        FindingReader.from_pretrained(NANO_READER, other)
    with pytest.raises(CheckpointError, match=r"holds no reader_config\.json"):
        load_verifier(tmp_path)


def test_damaged_readers_are_refused(taught, tmp_path):
    taught.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "reader_config.json").read_text())
    settings["config"]["slots"]["colour"] = ["red", "blue", "green"]
    (tmp_path / "reader_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"heads\.colour"):
        FindingReader.from_pretrained(tmp_path)
    (tmp_path / "reader_config.json").write_text('{"reader_type": "other"}')
    with pytest.raises(CheckpointError, match="reader_type 'other'"):
        FindingReader.from_pretrained(tmp_path)


def test_a_temperature_undoes_a_scale():
    torch.manual_seed(0)
    logits = torch.randn(4000, 3)
    targets = torch.distributions.Categorical(logits=logits).sample()
    assert fit_temperature(2.5 * logits, targets) == pytest.approx(2.5, rel=0.1)
    assert fit_temperature(logits[:0], targets[:0]) == 1.0


def test_claims_are_as_likely_as_when_half_of_them_are_true(taught):
    chances = torch.tensor([[0.5, 0.3, 0.2], [1.0, 0.0, 0.0]])
    found = taught.claim_probability("size", "small", chances)
    assert found.tolist() == pytest.approx([0.5 / (0.5 + 0.25), 1.0])


def test_a_loss_that_is_not_finite_stops():
    broken = toy(64, 4)
    broken.cells[0] = torch.nan
    config = ReaderConfig(slots=SLOTS, layers=(0,), width=16)
    with pytest.raises(TrainingError, match="not finite"):
        teach_reader(config, broken, toy(64, 5), epochs=1)
