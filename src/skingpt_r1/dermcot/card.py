"""The card of a published corpus: `README.md` with the front matter of the Hugging Face hub.

Also: where the cases come from, under which licence and what may be passed on; and the counts of a
split, made while its records stream by (the texts are not kept).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from skingpt_r1.data import find_readers
from skingpt_r1.dermcot.corpus import CorpusRecord
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.agreement import agreement_text
from skingpt_r1.ratings.certification import RULE, CertifyRules
from skingpt_r1.records import ResultRow
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
    synthetic: bool


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
    readers, _ = find_readers()
    if name in readers and name != _OWNER:
        info = readers[name]
        return Source(
            name, info.title, info.licence, info.citation, info.url, info.redistributable, False
        )
    licence = stated or "the owner's; not stated"
    return Source(name, "Pictures of the publisher", licence, "", "", stated is not None, False)


UNKNOWN = "unknown"
Counts = Counter[str]


@dataclass(slots=True)
class Tally:
    """Counts of one split; all but `pictures` are numbers of cases.

    Site, tone and skin type have a row `unknown`; evaluators one `none`, for cases without scores.
    """

    cases: int = 0
    pictures: int = 0
    synthetic: int = 0
    sources: Counts = field(default_factory=Counter)
    diagnoses: Counts = field(default_factory=Counter)
    sites: Counts = field(default_factory=Counter)
    tones: Counts = field(default_factory=Counter)
    fitzpatrick: Counts = field(default_factory=Counter)
    diagnosis_tones: Counter[tuple[str, str]] = field(default_factory=Counter)
    narrators: Counts = field(default_factory=Counter)
    evaluators: Counts = field(default_factory=Counter)

    def add(self, record: CorpusRecord) -> None:
        """Count one record."""
        tone = str(record.tone or UNKNOWN)
        self.cases += 1
        self.pictures += len(record.images)
        self.synthetic += record.dataset == DATASET
        self.sources[record.dataset] += 1
        self.diagnoses[record.diagnosis] += 1
        self.sites[record.context.get("site", UNKNOWN)] += 1
        self.tones[tone] += 1
        self.fitzpatrick[str(record.fitzpatrick or UNKNOWN)] += 1
        self.diagnosis_tones[record.diagnosis, tone] += 1
        self.narrators[record.reason.narrator] += 1
        self.evaluators[record.evaluator or "none"] += 1


def ordered(counts: Iterable[Counts]) -> list[str]:
    """Keys of several counts, the most frequent first, `unknown` last."""
    total = sum(counts, Counts())
    return sorted(total, key=lambda key: (key == UNKNOWN, -total[key], key))


TRAIN, CERTIFIED = "train", "certified"
RESEARCH = "For research, not for diagnosis."
# Stands behind the name of an evaluator that scored photos without having learned from any.
RENDERED_ONLY = "has learned from rendered skin and simulated raters alone"
# Tags of the hub for licences as the readers' cards write them.
_LICENCE_TAGS = {
    "Apache-2.0": "apache-2.0", "CC BY 4.0": "cc-by-4.0", "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC0": "cc0-1.0", "CC BY-SA 4.0": "cc-by-sa-4.0", "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
}  # fmt: skip
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


class Facts(NamedTuple):
    """What the card and the metadata say about a corpus."""

    name: str
    tallies: Mapping[str, Tally]  # by split, `train` first
    sources: Sequence[Source]
    with_images: bool
    states: Mapping[str, int]  # held-out cases by state; empty without certification
    rules: CertifyRules | None
    simulated_raters: bool | None  # None without certification
    agreement: Sequence[ResultRow]
    corrected: int  # certified cases whose narrative a rater wrote
    version: str  # of the package

    @property
    def cases(self) -> int:
        """Number of cases over all splits."""
        return sum(tally.cases for tally in self.tallies.values())

    @property
    def synthetic(self) -> int:
        """Number of cases with rendered pictures."""
        return sum(tally.synthetic for tally in self.tallies.values())


def write_card(facts: Facts) -> str:
    """The whole card, as Markdown."""
    sections = (
        f"# {escaped(facts.name)}",
        f"A DermCoT corpus: pictures of skin with narratives that go from the observation over "
        f"the reasoning to the diagnosis. {RESEARCH}",
        _use(),
        _splits(facts),
        _provenance(facts),
        _certification(facts),
        *_counts(facts),
        _limits(facts),
        _columns(),
    )
    front = yaml.safe_dump(front_matter(facts), sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def front_matter(facts: Facts) -> dict[str, Any]:
    """The machine-readable head of the card."""
    tags = ["dermatology", "chain-of-thought", "research-only"]
    if facts.synthetic:
        tags.append("synthetic")
    return {
        "pretty_name": facts.name,
        "language": ["en"],
        **_licence(facts.sources),
        "task_categories": ["image-text-to-text"],
        "size_categories": [next((s for n, s in _SIZES if facts.cases < n), "100K<n<1M")],
        "tags": tags,
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"}
                    for split, tally in facts.tallies.items()
                    if tally.cases
                ],
            }
        ],
    }


def synthetic_statement(facts: Facts) -> str:
    """Which part of the corpus is synthetic, in one or two sentences."""
    parts = [
        f"{tally.synthetic:,} of {tally.cases:,} cases of `{split}`"
        for split, tally in facts.tallies.items()
        if tally.cases
    ]
    if not facts.synthetic:
        return "No picture of this corpus is synthetic."
    return (
        f"Synthetic, with procedurally rendered pictures of no real person's skin: "
        f"{' and '.join(parts)} (column `synthetic`). What is learned on rendered skin says "
        "nothing about performance on people."
    )


def rater_statement(facts: Facts) -> str:
    """Who certified, in one sentence."""
    if facts.simulated_raters is None:
        return "No case of this corpus is certified."
    if facts.simulated_raters:
        return (
            "The raters are SIMULATED: formulas with bias and noise that know the damage of each "
            "narrative. No dermatologist has seen this corpus."
        )
    return "The raters are people under pseudonyms, who worked blinded to narrator and evaluator."


def _licence(sources: Sequence[Source]) -> dict[str, str]:
    tags = {_LICENCE_TAGS.get(source.licence) for source in sources}
    only = tags.pop() if len(tags) == 1 else None
    if only:
        return {"license": only}
    return {"license": "other", "license_name": "see-sources"}


def _use() -> str:
    return (
        "## Intended use\n\n"
        "Training and testing of models that reason about pictures of skin, and research on how "
        "such models err.\n\n"
        "**Out of scope**: diagnosis, triage or advice for any person; any use without a human "
        "expert who checks every output and decides; conclusions about skin tones, sites or "
        "diagnoses with few cases below."
    )


def _splits(facts: Facts) -> str:
    head = ("split", "cases", "pictures", "synthetic cases")
    rows = [
        (split, f"{tally.cases:,}", f"{tally.pictures:,}", f"{tally.synthetic:,}")
        for split, tally in facts.tallies.items()
    ]
    return (
        "## Splits\n\n" + "\n".join(table(head, rows)) + "\n\n"
        "The splits share no case, no group (patient, lesion or file series), no identical file "
        "and no near-identical picture; a corpus that does is not published. Split by `group`, "
        "never by row.\n\n"
        + ("" if facts.with_images else "Pictures are not included: `image_sha256` names them.\n\n")
        + synthetic_statement(facts)
    )


def _provenance(facts: Facts) -> str:
    head = ("source", "title", "licence of the pictures", "citation", "described at")
    rows = [
        (source.name, source.title, source.licence, source.citation or "-", source.url or "-")
        for source in facts.sources
    ]
    return (
        "## Sources and licences\n\n" + "\n".join(table(head, rows)) + "\n\n"
        f"Texts and table: {OWN_LICENCE}, as far as the terms of the sources allow. Diagnoses are "
        "the labels of the sources; whether they rest on histology or on consensus is for their "
        "cards to say.\n\n"
        + _list("Narrators", [tally.narrators for tally in facts.tallies.values()])
        + "\n\n"
        + _list("Evaluators", [tally.evaluators for tally in facts.tallies.values()])
        + f"\n\nWritten by SkinGPT-R1 {facts.version}."
    )


def _certification(facts: Facts) -> str:
    lines = [f"## Certification\n\n{rater_statement(facts)}"]
    if facts.rules is not None:
        rules = facts.rules
        lines += [
            f"Rule ({RULE}): at least {rules.raters} raters; of the medians over raters, the mean "
            f"is at least {rules.mean:g} and every dimension at least {rules.minimum:g} of 5; "
            f"raters further apart than {rules.dimension_gap:g} in a dimension or "
            f"{rules.mean_gap:g} in the mean call for a further one, up to {rules.most_raters}.",
            "Held-out cases: "
            + ", ".join(f"{state} {number:,}" for state, number in facts.states.items())
            + f". Narratives that a rater rewrote: {facts.corrected:,} (column `corrected`).",
            f"Agreement of the {'simulated ' if facts.simulated_raters else ''}raters (mean "
            "absolute error, quadratic-weighted kappa, Krippendorff's alpha):",
            f"```\n{agreement_text(facts.agreement)}\n```",
        ]
    return "\n\n".join(lines)


def _counts(facts: Facts) -> list[str]:
    tallies = facts.tallies
    columns = (
        ("Diagnoses", "diagnosis", "diagnoses"),
        ("Body sites", "site", "sites"),
        ("Apparent skin tone", "tone", "tones"),
        ("Fitzpatrick type", "type", "fitzpatrick"),
    )
    sections = [
        _table(title, column, {split: getattr(tally, kind) for split, tally in tallies.items()})
        for title, column, kind in columns
    ]
    return [*sections, _tone_table(tallies)]


def _limits(facts: Facts) -> str:
    lines = [
        "Narratives are written by machines and selected by a trained evaluator, which errs; "
        "`certified` is scored by raters, `train` is not.",
        "Findings that were measured on pictures can be wrong.",
        "Skin tone is apparent colour in the picture; where it is not known, it is not filled in.",
        "Certified narratives were judged with these raters and this rule; a median of two or "
        "three raters is no reference standard.",
    ]
    if any(RENDERED_ONLY in name for tally in facts.tallies.values() for name in tally.evaluators):
        lines.append(
            f"The evaluator that scored photos here {RENDERED_ONLY}: how well its scores, and the "
            "selection by them, fit photos of people was not measured."
        )
    if facts.synthetic:
        lines.append("Rendered skin is far simpler than skin.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _columns() -> str:
    return (
        "## Columns\n\n"
        "`id`, `dataset` (source), `group`, `diagnosis`, `site`, `age`, `tone`, `fitzpatrick`, "
        "`images`, `image_sha256` (of the source's files), `findings`, `narrative`, `synthetic`, "
        "`licence`, `narrator`, `evaluator`, `evaluator_scores`, `certified_scores` (median of the "
        "raters), `corrected`, `ratings` (one row for each rater, under neutral names). What is "
        "not known is null."
    )


def _list(title: str, counts: Iterable[Counts]) -> str:
    total = sum(counts, Counts())
    return f"{title}: {', '.join(f'{code(key)} {n:,}' for key, n in total.items())}."


def _table(title: str, column: str, counts: Mapping[str, Any]) -> str:
    rows = [
        [key, *(f"{one[key]:,}" for one in counts.values())] for key in ordered(counts.values())
    ]
    return "\n".join([f"## {title}\n", *table([column, *counts], rows)])


def _tone_table(tallies: Mapping[str, Tally]) -> str:
    tones = ordered(tally.tones for tally in tallies.values())
    rows = []
    for diagnosis in ordered(tally.diagnoses for tally in tallies.values()):
        cells = [
            " + ".join(f"{tally.diagnosis_tones[diagnosis, tone]:,}" for tally in tallies.values())
            for tone in tones
        ]
        rows.append([diagnosis, *cells])
    title = f"## Diagnosis by skin tone ({' + '.join(tallies)})\n"
    return "\n".join([title, *table(["diagnosis", *tones], rows)])
