"""Croissant metadata of a published corpus: what is in which file, for machines.

Source: Croissant 1.1 and its responsible-AI extension, mlcommons.org/croissant; `mlcroissant`
validates the document in a test.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from skingpt_r1.dermcot.card import (
    OWN_LICENCE,
    RESEARCH,
    Facts,
    rater_statement,
    synthetic_statement,
)
from skingpt_r1.dermcot.table import Shard

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
CORPUS_VERSION = "1.0.0"  # of the layout of a published corpus
# What stands for what in the document, in the order of the Croissant specification.
_TERMS = (
    "@language @vocab citeAs column conformsTo cr rai data dataType dct equivalentProperty "
    "examples extract field fileProperty fileObject fileSet format includes isLiveDataset jsonPath "
    "key md5 parentField path recordSet references regex repeated replace samplingRate sc "
    "separator source subField transform"
)
_OTHER_THAN_CROISSANT: Mapping[str, Any] = MappingProxyType(
    {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "dct": "http://purl.org/dc/terms/",
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "sc": "https://schema.org/",
    }
)
# Flat columns of the table; pictures, findings and ratings are nested and read by their library.
_FIELDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "id": ("sc:Text", "Id of the case."),
        "dataset": ("sc:Text", "The source of the pictures."),
        "group": ("sc:Text", "What must not be split: patient, lesion or file series."),
        "diagnosis": ("sc:Text", "The label of the source."),
        "site": ("sc:Text", "Body site, where known."),
        "age": ("sc:Text", "Age, where known."),
        "tone": ("sc:Text", "Apparent skin tone: light, medium or dark."),
        "fitzpatrick": ("sc:Integer", "Fitzpatrick skin type 1 to 6, where known."),
        "narrative": ("sc:Text", "Observation, reasoning and diagnosis."),
        "synthetic": ("sc:Boolean", "Whether the pictures are rendered."),
        "licence": ("sc:Text", "Terms of the source of the pictures."),
        "narrator": ("sc:Text", "What wrote the reasoning."),
        "corrected": ("sc:Boolean", "Whether a rater wrote the narrative."),
    }
)


def croissant(facts: Facts, shards: Sequence[Shard]) -> dict[str, Any]:
    """The metadata document as a JSON object."""
    splits = dict.fromkeys(shard.split for shard in shards)
    cited = [source.citation for source in facts.sources if source.citation]
    return {
        "@context": {
            term: _OTHER_THAN_CROISSANT.get(term, f"cr:{term}") for term in _TERMS.split()
        },
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": facts.name,
        "description": f"Pictures of skin with reasoning narratives. {RESEARCH}",
        "license": sorted({OWN_LICENCE, *(source.licence for source in facts.sources)}),
        "citeAs": "; ".join(cited) or facts.name,
        "version": CORPUS_VERSION,
        "distribution": [*map(_file, shards), *map(_file_set, splits)],
        "recordSet": [_record_set(split) for split in splits],
        **_responsible(facts),
    }


def _file(shard: Shard) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": shard.name,
        "name": shard.name,
        "contentUrl": f"data/{shard.name}",
        "contentSize": f"{shard.bytes} B",
        "encodingFormat": "application/x-parquet",
        "sha256": shard.sha256,
    }


def _file_set(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-files",
        "name": f"{split}-files",
        "encodingFormat": "application/x-parquet",
        "includes": f"data/{split}-*.parquet",
    }


def _record_set(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"The cases of the split {split}.",
        "key": {"@id": f"{split}/id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{split}/{name}",
                "name": name,
                "description": words,
                "dataType": kind,
                "source": {"fileSet": {"@id": f"{split}-files"}, "extract": {"column": name}},
            }
            for name, (kind, words) in _FIELDS.items()
        ],
    }


def _responsible(facts: Facts) -> dict[str, Any]:
    """The fields of the responsible-AI extension."""
    return {
        "rai:dataCollection": (
            "Pictures come from the sources named in the card, or are rendered; narratives are "
            f"written by machines. {synthetic_statement(facts)}"
        ),
        "rai:dataAnnotationProtocol": rater_statement(facts),
        "rai:dataUseCases": f"Research on models that reason about pictures of skin. {RESEARCH}",
        "rai:dataLimitations": (
            "Machine-written narratives selected by a trained evaluator; counts by diagnosis, body "
            "site and skin tone are in the card."
        ),
        "rai:dataBiases": (
            "Diagnoses, body sites and skin tones are not balanced as in any population."
        ),
        "rai:personalSensitiveInformation": (
            "Health data of the sources' participants, without names; metadata of pictures is "
            "removed, comments of raters are not published."
        ),
    }
