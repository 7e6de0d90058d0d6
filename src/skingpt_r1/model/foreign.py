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
def refusing(problem: str, error: type[SkinGPTError] = CheckpointError) -> Iterator[None]:
    """Run a library on files that anyone may have written.

    Args:
        problem: how the message begins, with the name of the directory or file.
        error: the class to raise.

    Raises:
        SkinGPTError: of the class given, where the library failed.
    """
    try:
        yield
    except SkinGPTError:
        raise
    except FAILURES as failure:
        raise error(f"{problem}: {_said(failure)}") from failure
    except Exception as failure:
        if type(failure) is not Exception:  # the tokenizers library raises the bare class
            raise
        raise error(f"{problem}: {_said(failure)}") from failure


def _said(failure: Exception) -> str:
    lines = str(failure).strip().splitlines() or ["no reason given"]
    return f"{lines[0]:.300} ({type(failure).__name__})"
