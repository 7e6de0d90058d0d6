"""A reader of pictures: for each slot, how likely each value is, and how sure that can be said.

Learned queries attend to the cells of a picture, two for each slot (attention pooling); a small
network turns what they find into probabilities, which a temperature for each slot calibrates. The
backbone stays frozen: a reader is saved and loaded like an adapter, and refuses another backbone.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import torch
from PIL import Image
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from skingpt_r1.errors import CheckpointError
from skingpt_r1.evidence.cells import SIDE, tower_cells
from skingpt_r1.evidence.gate import World
from skingpt_r1.model.config import BackboneReference
from skingpt_r1.model.skingpt import SkinGPT
from skingpt_r1.model.weight_files import refuse_misfits, refuse_not_finite, refusing
from skingpt_r1.recipes import Section
from skingpt_r1.records import read_json

CONFIG_FILE, WEIGHTS_FILE = "reader_config.json", "reader.safetensors"
READER_TYPE = "skingpt_r1_reader"
LESION, PRESENT, ABSENT = "lesion", "present", "absent"  # a slot of its own, for the gate
_QUERIES = 2  # for each slot
_INNER = 96


class ReaderConfig(Section):
    """What a reader reads, and what was measured on validation data.

    Attributes:
        slots: slot -> its values, of which a picture has one; `diagnosis` is a slot as well.
    """

    slots: dict[str, tuple[str, ...]] = Field(min_length=1)
    layers: tuple[int, ...] = Field(min_length=1)  # of the tower, whose states are read
    width: int = Field(default=128, ge=8, le=4096)  # inside the reader
    temperatures: dict[str, float] = Field(default_factory=dict)  # slot -> divides the logits
    world: str = "unknown pictures"  # what the reader was taught on, for people
    backbone: BackboneReference | None = None


class FindingReader(nn.Module):
    """Cells of a picture to logits of every slot.

    Args:
        config: the slots.
        cell_width: values of a cell.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, config: ReaderConfig, cell_width: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("centre", torch.zeros(cell_width))
        self.register_buffer("spread", torch.ones(cell_width))
        self.world = World(cell_width)
        self.enter = nn.Linear(cell_width, width)
        self.places = nn.Parameter(0.02 * torch.randn(SIDE**2, width))
        self.mix = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.1, batch_first=True, norm_first=True
        )
        self.queries = nn.Parameter(0.1 * torch.randn(len(config.slots) * _QUERIES, width))
        self.keys, self.values = nn.Linear(width, width), nn.Linear(width, width)
        inside = width * (_QUERIES + 1)
        self.heads = nn.ModuleDict(
            {
                slot: nn.Sequential(
                    nn.LayerNorm(inside),
                    nn.Dropout(0.2),
                    nn.Linear(inside, _INNER),
                    nn.GELU(),
                    nn.Linear(_INNER, len(values)),
                )
                for slot, values in config.slots.items()
            }
        )
        self.eval()

    def forward(self, cells: Tensor) -> dict[str, Tensor]:
        """`[pictures, SIDE**2, W]` to slot -> `[pictures, values]`."""
        x = functional.gelu(self.enter((cells.float() - self.centre) / self.spread)) + self.places
        x = self.mix(x)
        scores = self.queries @ self.keys(x).transpose(1, 2) / x.shape[-1] ** 0.5
        found = (scores.softmax(-1) @ self.values(x)).view(len(x), len(self.heads), -1)
        whole = x.mean(1)
        return {
            slot: head(torch.cat([found[:, row], whole], -1))
            for row, (slot, head) in enumerate(self.heads.items())
        }

    @torch.no_grad()
    def probabilities(self, cells: Tensor) -> dict[str, Tensor]:
        """Calibrated: `[pictures, SIDE**2, W]` to slot -> `[pictures, values]`."""
        return {
            slot: (logits / self.config.temperatures.get(slot, 1.0)).softmax(-1)
            for slot, logits in self(cells).items()
        }

    def claim_probability(self, slot: str, value: str, chances: Tensor) -> Tensor:
        """`[pictures]`: how likely a claim about a slot is true, from `[pictures, values]`.

        As if half of all claims were true, and the others named one of the other values by chance.
        """
        values = self.config.slots[slot]
        own = chances[:, values.index(value)]
        return own / (own + (1 - own) / (len(values) - 1))

    def read(self, model: SkinGPT, pictures: Sequence[Image.Image]) -> dict[str, Tensor]:
        """The same from pictures, with the backbone that the reader belongs to."""
        return self.probabilities(tower_cells(model, pictures, self.config.layers))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write settings and weights.

        Raises:
            CheckpointError: the folder cannot be written.
        """
        folder = Path(folder)
        settings = {"reader_type": READER_TYPE, "config": self.config.model_dump(mode="json")}
        state = {
            name: value.contiguous() if name.startswith("world.") else value.half().contiguous()
            for name, value in self.state_dict().items()
        }
        with refusing(f"the reader cannot be written to {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(settings, indent=2) + "\n"
            (folder / CONFIG_FILE).write_text(text, encoding="utf-8")
            partial = folder / f".{WEIGHTS_FILE}.partial"
            save_file(state, partial, metadata={"format": "pt"})
            partial.replace(folder / WEIGHTS_FILE)

    @classmethod
    def from_pretrained(cls, folder: str | Path, backbone: BackboneReference | None = None) -> Self:
        """A saved reader; with `backbone`, only one that was taught on its tower.

        Raises:
            CheckpointError: there is none, it is damaged, or it belongs to another backbone.
        """
        folder = Path(folder)
        config = read_reader_config(folder)
        taught = config.backbone
        if backbone is not None and taught is not None and taught.revision != backbone.revision:
            raise CheckpointError(
                f"the reader in {folder} was taught on backbone {taught.name!r} with weights "
                f"{taught.revision[:12]}; {backbone.name!r} has weights {backbone.revision[:12]}. "
                "Use the reader of this backbone, or teach one"
            )
        path = folder / WEIGHTS_FILE
        with refusing(f"{path} cannot be read"):
            state: dict[str, Tensor] = load_file(path)
        refuse_not_finite(path, (item for item in state.items() if item[0] != "world.limits"))
        if "centre" not in state:
            raise CheckpointError(f"{path} lacks the tensor 'centre'; it is no reader")
        reader = cls(config, len(state["centre"]))
        refuse_misfits(path, state, reader.state_dict())
        reader.load_state_dict({name: value.float() for name, value in state.items()})
        return reader


def read_reader_config(folder: Path) -> ReaderConfig:
    """The settings of a saved reader; raises as `FindingReader.from_pretrained` does."""
    path = folder / CONFIG_FILE
    settings = read_json(path, CheckpointError)
    if settings.get("reader_type") != READER_TYPE:
        raise CheckpointError(
            f"{path} has reader_type {settings.get('reader_type')!r:.100}; only readers saved by "
            f"this library ({READER_TYPE!r}) can be loaded"
        )
    with refusing(f"{path} cannot be read"):
        return ReaderConfig.model_validate(settings.get("config"))


def indices_of(slots: Mapping[str, Sequence[str]], facts: Sequence[Mapping[str, str]]) -> Tensor:
    """`[pictures, slots]`: the index of each known value; -100 where it is not known."""
    rows = [
        [
            values.index(known[slot]) if known.get(slot) in values else -100
            for slot, values in slots.items()
        ]
        for known in facts
    ]
    return torch.tensor(rows, dtype=torch.long)
