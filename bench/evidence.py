"""How far the embedded verifier and the gate can be trusted: the tables of docs/evidence.md.

Expected before it was measured: AUC of true against false claims 0.92, of the weakest slot 0.80;
with another picture and with a grey one near 0.5, above it as common findings fit any picture.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image

from skingpt_r1.evidence.tables import claim_rows, gate_rows, region_rows
from skingpt_r1.evidence.verify import load_verifier
from skingpt_r1.records import write_results
from skingpt_r1.render.case import plan_case, render
from skingpt_r1.render.others import other_pictures
from skingpt_r1.stats.intervals import Bootstrap
from skingpt_r1.text.findings import RENDERED_SLOTS

SEED = 60_001  # of no picture that the reader was taught on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=320)
    parser.add_argument("--regions", type=int, default=80, help="pictures of the deletion test")
    parser.add_argument("--out", type=Path, default=Path("runs/evidence"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    plans = [plan_case(index, SEED) for index in range(given.pictures)]
    pictures = [Image.fromarray(render(plan)) for plan in plans]
    facts = [dict(plan.findings) for plan in plans]
    verifier, boot = load_verifier(), Bootstrap(0, 1000)
    rows = claim_rows(verifier, pictures, facts, slots=RENDERED_SLOTS, boot=boot)
    rows += region_rows(verifier, pictures[: given.regions], facts[: given.regions], boot)
    rows += gate_rows(pictures, other_pictures(60, 5), boot)
    given.out.mkdir(parents=True, exist_ok=True)
    write_results(given.out, rows)
    for row in rows:
        ends = "" if row.low is None else f" ({row.low:.3f} to {row.high:.3f})"
        print(f"{row.table:8} {row.system:28} {row.metric:45} {row.value:.3f}{ends}, n {row.n}")
    print("For research, not for diagnosis.")


if __name__ == "__main__":
    main()
