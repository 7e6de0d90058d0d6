"""The verifiers and the gate by name: the embedded ones, or a folder that a reader was saved to."""

from functools import lru_cache
from pathlib import Path

from skingpt_r1.errors import CheckpointError
from skingpt_r1.evidence.reader import CONFIG_FILE, Reader
from skingpt_r1.evidence.verify import ReaderVerifier
from skingpt_r1.model.backbone import NANO
from skingpt_r1.model.load import load_model
from skingpt_r1.model.skingpt import SkinGPT

NANO_READER = Path(__file__).resolve().parent / "weights"


def load_verifier(name_or_dir: str | Path = NANO, model: SkinGPT | None = None) -> ReaderVerifier:
    """A verifier that reads the tower of a backbone.

    Args:
        name_or_dir: `nano`, or a folder that `Reader.save_pretrained` wrote.
        model: any model on the backbone of the reader; that backbone is loaded when None.

    Raises:
        CheckpointError: there is no reader, or the model has another backbone.
    """
    folder = NANO_READER if str(name_or_dir) == NANO else Path(name_or_dir)
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(f"{folder} holds no {CONFIG_FILE}; give `nano`, or a reader's folder")
    if model is None:
        reader = Reader.from_pretrained(folder)
        taught = reader.config.backbone
        return ReaderVerifier(_backbone(NANO if taught is None else taught.name), reader)
    return ReaderVerifier(model, Reader.from_pretrained(folder, model.config.backbone))


@lru_cache(maxsize=1)
def _backbone(name: str) -> SkinGPT:
    return load_model(name)
