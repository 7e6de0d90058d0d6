"""How far the embedded verifier and the gate can be trusted: the tables of docs/evidence.md.

Expected before it was measured: AUC of true against false claims 0.92, of the weakest slot 0.80;
with another picture and with a grey one near 0.5, above it as common findings fit any picture.
"""

import argparse
from pathlib import Path

import torch

from skingpt_r1.evidence.tables import rendered_rows
from skingpt_r1.evidence.verify import load_verifier
from skingpt_r1.records import write_results
from skingpt_r1.stats.intervals import Bootstrap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=320)
    parser.add_argument("--regions", type=int, default=80, help="pictures of the deletion test")
    parser.add_argument("--out", type=Path, default=Path("runs/evidence"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = rendered_rows(
        load_verifier(),
        pictures=given.pictures,
        regions=given.regions,
        others=60,
        boot=Bootstrap(0, 1000),
    )
    given.out.mkdir(parents=True, exist_ok=True)
    write_results(given.out, rows)
    for row in rows:
        ends = "" if row.low is None else f" ({row.low:.3f} to {row.high:.3f})"
        print(f"{row.table:8} {row.system:28} {row.metric:45} {row.value:.3f}{ends}, n {row.n}")
    print("For research, not for diagnosis.")


if __name__ == "__main__":
    main()
