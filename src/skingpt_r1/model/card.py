"""The model card that is saved beside adapters."""

from collections.abc import Mapping

from torch import Tensor

from skingpt_r1.model.config import AdapterConfig

_CARD = """---
base_model: {base}
base_model_relation: adapter
library_name: skingpt_r1
license: apache-2.0
pipeline_tag: image-text-to-text
tags:
- dermatology
- chain-of-thought
---

# SkinGPT-R1 adapters

**For research, not for diagnosis.** The model can be wrong, and a fluent text is no sign that it is
right. It must not be used to decide about anybody's care.

| | |
|---|---|
| backbone | `{base}` |
| backbone weights (sha256) | `{revision}` |
| text adapter | {text_adapter} |
| visual adapter | {layers} layers on {features}, width {embed_dim}, inject: {inject} |
| trained parameters | {parameters:,} |

The backbone's weights are not part of this directory and were not changed. The license above is
that of the adapter code; the data it was trained on may restrict what the weights can be used for.

```python
import skingpt_r1

model = skingpt_r1.load_model("path/to/this/directory")
print(model.diagnose("picture.jpg").text)
```
"""


def model_card(config: AdapterConfig, state: Mapping[str, Tensor]) -> str:
    """A model card in Markdown with the metadata header that model hubs read."""
    assert config.backbone is not None
    return _CARD.format(
        base=config.backbone.name,
        revision=config.backbone.revision,
        text_adapter=config.text_adapter,
        layers=config.visual.layers,
        features=config.visual.features,
        embed_dim=config.visual.embed_dim,
        inject=str(config.visual.inject).lower(),
        parameters=sum(value.numel() for value in state.values()),
    )
