"""Read a model's text as observation, reasoning, differential and diagnosis.

    python examples/parse_narrative.py [FILE]

For research, not for diagnosis.
"""

import sys
from pathlib import Path

from skingpt_r1 import parse_narrative
from skingpt_r1.errors import NarrativeError

TEXT = """<think> Observation: A single pink papule with a shiny surface and a rolled border.
Reasoning: A slow, shiny papule with a rolled border suggests a basal cell carcinoma.
Differential: intradermal nevus; sebaceous hyperplasia </think>
<answer> basal cell carcinoma </answer>"""


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8") if len(sys.argv) > 1 else TEXT
    try:
        narrative = parse_narrative(text)
    except NarrativeError as error:
        sys.exit(f"not a narrative ({error.reason}): {error}")
    print("observation:  ", narrative.observation)
    print("reasoning:    ", narrative.reasoning)
    print("differential: ", "; ".join(narrative.differential))
    print("diagnosis:    ", narrative.diagnosis)


if __name__ == "__main__":
    main()
