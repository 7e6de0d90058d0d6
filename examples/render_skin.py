"""Render pictures of skin with known findings, and read them back as cases.

    python examples/render_skin.py FOLDER [COUNT]

For research, not for diagnosis.
"""

import sys
from pathlib import Path

from skingpt_r1 import load_cases
from skingpt_r1.render.layouts import write_cases


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python examples/render_skin.py FOLDER [COUNT]")
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8
    write_cases(folder, count, seed=0)
    for case in load_cases("folder", folder):
        seen = ", ".join(f"{slot} {value}" for slot, value in case.findings.items())
        print(f"{case.images[0].name}: {case.label}: {seen}")


if __name__ == "__main__":
    main()
