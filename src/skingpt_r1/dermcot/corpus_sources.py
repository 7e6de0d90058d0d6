"""Where the cases of a corpus come from, under which licence, and what may be passed on."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from skingpt_r1.data import READERS
from skingpt_r1.errors import DatasetError
from skingpt_r1.render.folder import DATASET

# Of the rendered pictures and of the texts: the licence of this package.
OWN_LICENCE = "Apache-2.0"
_OWNER = "folder"  # the reader of the user's own pictures, whose licence only the user knows


class Source(NamedTuple):
    """One source of cases.

    Attributes:
        name: of the reader, or `synthetic`.
        title: the name its authors use.
        licence: its terms, in a few words.
        citation: how its authors want to be named; empty where there is nobody to name.
        url: where it is described; empty where there is no such place.
        redistributable: whether its pictures may be passed on.
        synthetic: whether its pictures are rendered.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    redistributable: bool
    synthetic: bool


def sources_of(names: Iterable[str], stated: Mapping[str, str]) -> tuple[Source, ...]:
    """The sources of these names, in alphabetical order.

    Args:
        names: of readers, `synthetic`, or what a metadata table called its cases.
        stated: name -> licence under which the user says that own pictures may be passed on.

    Raises:
        DatasetError: a licence is stated for a public data set, or for a source that is not there.
    """
    wanted = sorted(set(names))
    problems = [
        f"{name}: {READERS[name].INFO.licence}"
        for name in stated
        if name in READERS and name != _OWNER
    ]
    problems += [f"{name}: no case comes from it" for name in stated if name not in wanted]
    if problems:
        raise DatasetError(
            "a licence can be stated for your own pictures only, by the name that the corpus has "
            f"for them; its sources are {', '.join(wanted)}",
            problems,
        )
    return tuple(_source(name, stated.get(name)) for name in wanted)


def refuse_pictures(sources: Iterable[Source]) -> None:
    """Stop where pictures must not be passed on.

    Raises:
        DatasetError: naming every such source and its terms.
    """
    closed = [
        f"{source.name}: {source.licence}" for source in sources if not source.redistributable
    ]
    if closed:
        raise DatasetError(
            "pictures of these sources must not be passed on; publish --without-images, or, for "
            "your own pictures, state their terms with --licence NAME=TERMS",
            closed,
        )


def _source(name: str, stated: str | None) -> Source:
    if name == DATASET:
        return Source(
            name, "Procedurally rendered skin of SkinGPT-R1", OWN_LICENCE, "", "", True, True
        )
    if name in READERS and name != _OWNER:
        info = READERS[name].INFO
        return Source(
            name, info.title, info.licence, info.citation, info.url, info.redistributable, False
        )
    licence = stated or "the owner's; not stated"
    return Source(name, "Pictures of the publisher", licence, "", "", stated is not None, False)
