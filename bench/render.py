"""Pictures per second of the renderer on one core."""

import os
import time

os.environ["OMP_NUM_THREADS"] = "1"

from skingpt_r1.render.case import plan_case, render

COUNT = 480


def main() -> None:
    render(plan_case(0, 0))
    start, cpu = time.perf_counter(), time.process_time()
    for index in range(COUNT):
        render(plan_case(index, 1))
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(
        f"{COUNT} pictures of 112 x 112: {COUNT / wall:.0f} per second, "
        f"{COUNT / cpu:.0f} per second of one core"
    )


if __name__ == "__main__":
    main()
