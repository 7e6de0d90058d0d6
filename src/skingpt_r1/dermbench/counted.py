"""Which judgement counts where an answer was judged more than once; `judgements.py` asks by it."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from skingpt_r1.dermbench.records import Judgement, ProtocolName
from skingpt_r1.errors import RecordError

Item = TypeVar("Item")
# system, question, judge, scale, repeat
JudgedKey = tuple[str, str, str, ProtocolName, int]


def counted(
    records: Iterable[tuple[Item, Judgement]], answers: Mapping[tuple[str, str], str]
) -> dict[JudgedKey, Item]:
    """The first record with scores, else the last, for each answer, judge, scale and repeat.

    Args:
        records: in the order of their files, each with what is to be kept of it.
        answers: (system, question) -> hash of the text that counts now; a judgement of another
            text does not count.
    """
    kept: dict[JudgedKey, Item] = {}
    scored: set[JudgedKey] = set()
    for item, record in records:
        key = (record.system, record.id, record.judge, record.protocol, record.repeat)
        if key in scored or record.answer_sha256 != answers.get((record.system, record.id)):
            continue
        kept[key] = item
        if record.scores is not None:
            scored.add(key)
    return kept


def of_run(
    path: Path,
    records: Iterable[tuple[Item, Judgement]],
    systems: Collection[str],
    questions: Collection[str],
) -> Iterator[tuple[Item, Judgement]]:
    """The records of a file of judgements.

    Raises:
        RecordError: one judges an answer that the run does not have.
    """
    for item, record in records:
        if record.system not in systems or record.id not in questions:
            raise RecordError(
                f"{path} judges {record.system!r} on {record.id!r}; the run has no such answer; "
                "delete this file"
            )
        yield item, record
