"""Where other libraries read a directory's files: what they raise becomes one error of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from skingpt_r1.errors import CheckpointError, SkinGPTError

FAILURES = (
    OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError,
    RuntimeError, ImportError, MemoryError, SafetensorError, StrictDataclassError,
)  # fmt: skip


@contextmanager
def refusing(problem: str) -> Iterator[None]:
    """Run a library on files that anyone may have written.

    Args:
        problem: how the message begins, with the name of the directory or file.

    Raises:
        CheckpointError: the library failed.
    """
    try:
        yield
    except SkinGPTError:
        raise
    except FAILURES as error:
        raise CheckpointError(f"{problem}: {_said(error)}") from error
    except Exception as error:
        if type(error) is not Exception:  # the tokenizers library raises the bare class
            raise
        raise CheckpointError(f"{problem}: {_said(error)}") from error


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ["no reason given"]
    return f"{lines[0]:.300} ({type(error).__name__})"
