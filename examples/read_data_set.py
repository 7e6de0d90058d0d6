"""Read a data set and split it so that no patient or lesion lies on both sides.

    python examples/read_data_set.py NAME FOLDER

For research, not for diagnosis.
"""

import sys
from collections import Counter

from skingpt_r1 import Split, load_cases
from skingpt_r1.data.splits import split_cases


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python examples/read_data_set.py NAME FOLDER")
    cases = load_cases(sys.argv[1], sys.argv[2])
    print(f"{len(cases)} cases of {len({case.group for case in cases})} groups")
    parts = split_cases(cases, {Split.TRAIN: 0.7, Split.TEST: 0.3}, seed=0)
    for split, members in parts.items():
        labels = Counter(case.label for case in members)
        print(f"{split}: {len(members)} cases:", *(f"{n} x {label}" for label, n in labels.items()))


if __name__ == "__main__":
    main()
