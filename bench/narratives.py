"""What the narrative reader makes of a folder of texts: one line per text, then the counts.

python bench/narratives.py DATA/dermbench_sample
"""

import sys
from collections import Counter
from pathlib import Path

from skingpt_r1.errors import NarrativeError
from skingpt_r1.text.narrative import parse_narrative


def main(folder: Path) -> None:
    """Read every .txt file below the folder and print what was found."""
    counts: Counter[str] = Counter()
    for path in sorted(folder.rglob("*.txt")):
        try:
            narrative = parse_narrative(path.read_text(encoding="utf-8"))
        except NarrativeError as error:
            outcome, said = error.reason, f"-- {error.reason}"
        else:
            outcome, said = "narrative", narrative.diagnosis
        counts[outcome] += 1
        print(f"{path.relative_to(folder)}\t{said}")
    print()
    for outcome, count in counts.most_common():
        print(f"{count:6d}  {outcome}")
    print(f"{counts.total():6d}  texts")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
