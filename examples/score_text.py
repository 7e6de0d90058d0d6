"""Read six scores from an evaluator's text; what has no score stays unscored, with a reason.

    python examples/score_text.py [FILE]

For research, not for diagnosis.
"""

import sys
from pathlib import Path

from skingpt_r1 import Scores, parse_scores

TEXT = """Accuracy: 4.5 - the diagnosis fits the findings
Safety: 4.0 - advises a visit
Medical Groundedness: 4.2 - no invented claims
Clinical Coverage: 3.1 - management is missing
Reasoning Coherence: 4.0 - follows from the findings
Description Precision: 3.8 - the border is not described"""


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8") if len(sys.argv) > 1 else TEXT
    scores = parse_scores(text)
    if isinstance(scores, Scores):
        print(scores)
    else:
        print(f"unscored: {scores.reason}")


if __name__ == "__main__":
    main()
