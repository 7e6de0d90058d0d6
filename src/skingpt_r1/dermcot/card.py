"""The documents of a published corpus: its card, `README.md`, and its Croissant metadata.

Also: where the cases come from, under which licence and what may be passed on; and the counts of a
split, made while its records stream by (the texts are not kept).

Source: Croissant 1.1 and its responsible-AI extension, mlcommons.org/croissant; `mlcroissant`
validates the document in a test.
"""

import importlib.metadata
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from skingpt_r1.data import find_readers
from skingpt_r1.dermcot.corpus import UNKNOWN, WORDING, CorpusRecord
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.agreement import agreement_text
from skingpt_r1.ratings.certification import RULE, Certification, CertifyRules
from skingpt_r1.render.layouts import DATASET
from skingpt_r1.text.tokens import code, escaped, table

# Of the rendered pictures and of the texts: the licence of this package.
OWN_LICENCE = "Apache-2.0"
_OWNER = "folder"  # the reader of the user's own pictures, whose licence only the user knows


class Source(NamedTuple):
    """One source of cases: a reader, rendered skin, or the user's own pictures."""

    name: str
    title: str
    licence: str  # its terms, in a few words
    citation: str  # how its authors want to be named; may be empty
    url: str  # where it is described; may be empty
    redistributable: bool


def sources_of(names: Iterable[str], stated: Mapping[str, str]) -> tuple[Source, ...]:
    """The sources of these names, in alphabetical order.

    A name is of a reader, `synthetic`, or what a metadata table called its cases; `stated` are the
    licences under which the user says that own pictures may be passed on.

    Raises:
        DatasetError: a licence is stated for a public data set, or for a source that is not there.
    """
    wanted = sorted(set(names))
    readers, _ = find_readers()
    problems = [
        f"{name}: {readers[name].licence}" for name in stated if name in readers and name != _OWNER
    ]
    problems += [f"{name}: no case comes from it" for name in stated if name not in wanted]
    if problems:
        raise DatasetError(
            "a licence can be stated for your own pictures only, by the name that the corpus has "
            f"for them; its sources are {', '.join(wanted)}",
            problems,
        )
    return tuple(_source(name, stated.get(name)) for name in wanted)


def _source(name: str, stated: str | None) -> Source:
    if name == DATASET:
        title = "Procedurally rendered skin of SkinGPT-R1"
        return Source(name, title, OWN_LICENCE, "", "", redistributable=True)
    readers, _ = find_readers()
    if name in readers and name != _OWNER:
        return Source(*(getattr(readers[name], kind) for kind in Source._fields))
    licence = stated or "the owner's; not stated"
    return Source(name, "Pictures of the publisher", licence, "", "", stated is not None)


@dataclass(slots=True)
class Tally:
    """Counts of one split; all but `pictures` are numbers of cases."""

    cases: int = 0
    pictures: int = 0
    synthetic: int = 0
    # Column of the card -> value -> cases; `tones` has pairs of diagnosis and tone.
    counts: defaultdict[str, Counter[Any]] = field(default_factory=lambda: defaultdict(Counter))

    def add(self, record: CorpusRecord) -> None:
        """Count one record."""
        diagnosis, site, tone = record.stratum
        self.cases += 1
        self.pictures += len(record.images)
        self.synthetic += record.dataset == DATASET
        values = {
            "source": record.dataset,
            "diagnosis": diagnosis,
            "site": site,
            "tone": tone,
            "type": str(record.fitzpatrick or UNKNOWN),
            "tones": (diagnosis, tone),
            "narrator": record.reason.narrator,
            "evaluator": record.evaluator or "none",
        }
        for column, value in values.items():
            self.counts[column][value] += 1


TRAIN, CERTIFIED = "train", "certified"
RESEARCH = "For research, not for diagnosis."
# Stands behind the name of an evaluator that scored photos without having learned from any.
RENDERED_ONLY = "has learned from rendered skin and simulated raters alone"
LAYOUT = "1.0.0"  # version of the layout of a published corpus
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


class Facts(NamedTuple):
    """What the documents say about a corpus."""

    name: str
    tallies: Mapping[str, Tally]  # by split, `train` first
    sources: Sequence[Source]
    with_images: bool
    rules: CertifyRules | None  # None without certification, as the next one is
    certification: Certification | None

    @property
    def synthetic(self) -> int:
        """Number of cases with rendered pictures."""
        return sum(tally.synthetic for tally in self.tallies.values())

    def total(self, column: str) -> Counter[str]:
        """Cases by the values of a column, over all splits."""
        return sum((tally.counts[column] for tally in self.tallies.values()), Counter())

    def ordered(self, column: str) -> list[str]:
        """The values of a column, the most frequent first, `unknown` last."""
        total = self.total(column)
        return sorted(total, key=lambda key: (key == UNKNOWN, -total[key], key))

    def each(self, column: str, value: Any) -> list[str]:
        """Cases with a value in a column, in each split."""
        return [f"{tally.counts[column][value]:,}" for tally in self.tallies.values()]


class Shard(NamedTuple):
    """One file of a split."""

    name: str
    split: str
    rows: int
    bytes: int
    sha256: str


def write_card(facts: Facts) -> str:
    """The whole card, as Markdown."""
    tags = {WORDING["licence_tags"].get(source.licence, "other") for source in facts.sources}
    tones, cases = facts.ordered("tone"), sum(tally.cases for tally in facts.tallies.values())
    return _render(
        "card.md.jinja",
        facts,
        licence=tags.pop() if len(tags) == 1 else "other",
        size=next((size for most, size in _SIZES if cases < most), "100K<n<1M"),
        tones=tones,
        tone_rows=[
            [name, *(" + ".join(facts.each("tones", (name, tone))) for tone in tones)]
            for name in facts.ordered("diagnosis")
        ],
        knows_rendered_only=any(RENDERED_ONLY in name for name in facts.total("evaluator")),
        rendered_only=RENDERED_ONLY,
        own_licence=OWN_LICENCE,
        rule=RULE,
        agreement_text=agreement_text,
        version=importlib.metadata.version("skingpt-r1"),
    )


def croissant(facts: Facts, shards: Sequence[Shard]) -> dict[str, Any]:
    """The metadata document as a JSON object."""
    cited = [source.citation for source in facts.sources if source.citation]
    text = _render(
        "croissant.json.jinja",
        facts,
        shards=shards,
        splits=list(dict.fromkeys(shard.split for shard in shards)),
        licences=sorted({OWN_LICENCE, *(source.licence for source in facts.sources)}),
        cited="; ".join(cited) or facts.name,
        layout=LAYOUT,
    )
    return dict(json.loads(text))


def _render(template: str, facts: Facts, **more: Any) -> str:
    environment = Environment(  # noqa: S701 - Markdown and JSON; names are escaped as these need it
        loader=PackageLoader("skingpt_r1.dermcot"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["table"] = lambda head, rows: "\n".join(table(head, rows))
    environment.filters |= {
        "escaped": escaped,
        "code": code,
        "number": lambda count: f"{count:,}",
        "yaml": lambda value: yaml.safe_dump(value, allow_unicode=True).rstrip("\n"),
    }
    return environment.get_template(template).render(facts=facts, research=RESEARCH, **more)
