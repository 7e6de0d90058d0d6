"""Records of a file that are read again by their place, so that texts need not stay in memory."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Generic, Self, TypeVar

from pydantic import BaseModel, ValidationError

from skingpt_r1.errors import RecordError

RecordT = TypeVar("RecordT", bound=BaseModel)


class RecordIndex(Generic[RecordT]):
    """A JSON Lines file that is gone through once and read again record by record.

    Args:
        path: the file.
        record_type: of its lines.
    """

    def __init__(self, path: Path, record_type: type[RecordT]) -> None:
        self._path = path
        self._type = record_type
        self._file: BinaryIO | None = None

    def __iter__(self) -> Iterator[tuple[int, RecordT]]:
        """Place and record, in the order of the file; a torn last line is left out.

        Raises:
            RecordError: the file cannot be read, or a line breaks the schema.
        """
        place = 0
        try:
            with self._path.open("rb") as file:
                for row, line in enumerate(file, 1):
                    try:
                        record = self._read(line, f"line {row}")
                    except RecordError:
                        if line.endswith(b"\n"):
                            raise
                        return
                    yield place, record
                    place += len(line)
        except OSError as error:
            raise RecordError(f"cannot read {self._path}: {error.strerror or error}") from error

    def at(self, place: int) -> RecordT:
        """The record at a place that going through the file gave."""
        if self._file is None:
            self._file = self._path.open("rb")
        self._file.seek(place)
        return self._read(self._file.readline(), f"byte {place}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, line: bytes, where: str) -> RecordT:
        try:
            return self._type.model_validate_json(line)
        except ValidationError as error:
            # The value stays out of the message: it may be patient data.
            problem = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, problem["loc"]))
            raise RecordError(f"{self._path}, {where}: field {field}: {problem['msg']}") from error
