"""Every error that a user can meet.

    SkinGPTError(ValueError)
    |-- NarrativeError      a text that is not a readable narrative; `.reason` says why
    |-- RecordError         a JSON Lines file or record that breaks its schema
    |-- DatasetError        problems of a data set, all of them, with row numbers; `.problems`
    |-- ImageError          a picture that cannot or must not be read
    |-- RecipeError         a recipe with unknown keys, wrong types or impossible values
    |-- CheckpointError     weights that do not fit: wrong keys or shapes, another backbone
    |-- DeviceError         a device or number format that is not known, or not on this machine
    |-- FeatureStoreError   stored features of another recipe, backbone or data manifest
    |-- TeacherError        teacher vectors that are missing or of the wrong width; `.case_ids`
    |-- TrainingError       a run that must stop: a non-finite loss, a changed recipe on resume
    |-- NarratorError       a language model that cannot be asked: unknown, no key, out of order
    `-- CostError           calls that would pass the cost limit, or whose price is not known

A message says what was wrong, the value, what is allowed and what to do.
"""

from collections.abc import Sequence


class SkinGPTError(ValueError):
    """Root of all errors meant for users; the command line prints it without a traceback."""


class NarrativeError(SkinGPTError):
    """A model text cannot be read as a narrative.

    Attributes:
        reason: a short stable code, for example `no_diagnosis`; see `narrative.REASONS`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RecordError(SkinGPTError):
    """A record file breaks its schema; the message names the file, the line and the field."""


class DatasetError(SkinGPTError):
    """A data set has problems; all of them are reported together, before any work starts."""

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        lines = [message, *(f"  - {problem}" for problem in problems[:50])]
        if len(problems) > 50:
            lines.append(f"  - and {len(problems) - 50} more")
        super().__init__("\n".join(lines))
        self.problems = tuple(problems)


class ImageError(SkinGPTError):
    """A picture cannot be read, or is too large to be read safely."""


class RecipeError(SkinGPTError):
    """A recipe has an unknown key, a wrong type or a value that cannot work."""


class CheckpointError(SkinGPTError):
    """Weights do not fit the model: keys, shapes or the backbone they were trained on."""


class DeviceError(SkinGPTError):
    """A device or number format that is not known, or that this machine lacks."""


class FeatureStoreError(SkinGPTError):
    """A feature store was made by another recipe, backbone, processor or data manifest."""


class TeacherError(SkinGPTError):
    """Teacher vectors are missing or have another width than the recipe says."""

    def __init__(self, message: str, case_ids: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.case_ids = tuple(case_ids)


class TrainingError(SkinGPTError):
    """Training must stop before it does harm."""


class NarratorError(SkinGPTError):
    """A language model cannot be asked: unknown name, no package, no key, or its server is down."""


class CostError(SkinGPTError):
    """The next call could pass the cost limit, or its price is not known; nothing was called."""
