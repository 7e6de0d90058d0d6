"""The model card of the embedded backbone, written from the build's own manifest."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.nano.scenes import ATTRIBUTES

_CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
tags: [qwen2_5_vl, nano, stand-in]
---
# nano: the embedded backbone

For research, not for diagnosis. A Qwen2.5-VL of a few million weights that stands in for a general
reasoning model, so that the machinery of SkinGPT-R1 can be run and tested offline. It knows nothing
about skin.

## Data

{sources}

No skin picture, rendered or real, was used. Under the dermatology prompt the training texts name a
diagnosis, a morphology, a border, a surface and a distribution that were drawn at random. Size
and number are those of the shapes in the scene; so are colour and arrangement where dermatology has
a word for them (not for blue, green, grey, orange, circles and grids: those are drawn, too).

## Measured skills

Held-out accuracy of linear readers on the vision tower (1,000 scenes):

| attribute | accuracy | values |
|---|---|---|
{seeing}

By generation, on other scenes ({skill_count} for each line): share of exactly right answers, and of
readable prose under the dermatology prompt.

| asked | share |
|---|---|
{skills}

Mean loss per answer token at the end of language schooling: {talking:.3f} nats; of the reading that
followed: {reading:.3f} nats.
Built in {minutes:.0f} minutes on two cores with `python -m tools.nano.build`; the settings are
in `manifest.json`.

## Licence

Apache-2.0; all training data are made by the program itself.
"""


def write_card(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write README.md beside the weights."""
    sources = "\n".join(
        "- " + "; ".join(f"{key}: {value}" for key, value in source.items())
        for source in manifest["sources"]
    )
    seeing = "\n".join(
        f"| {name} | {value:.2f} | {len(ATTRIBUTES[name])} |"
        for name, value in manifest["tower_accuracy"].items()
    )
    skills = "\n".join(f"| {name} | {value:.2f} |" for name, value in manifest["skills"].items())
    text = _CARD.format(
        skills=skills,
        skill_count=manifest["settings"]["skills"]["count"],
        sources=sources,
        seeing=seeing,
        talking=manifest["losses"]["language"],
        reading=manifest["losses"]["reading"],
        minutes=sum(manifest["minutes"].values()),
    )
    (folder / "README.md").write_text(text, "utf-8")
