"""What `probes.light()` costs on average: CPU time of training with it, to training without.

Both train the models of `benchmarks.workloads` at T = 3, ten steps of each in turn; the ratio is of
the whole, measured steps and all others. ``--quick`` takes 400 steps in place of 1,000.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.clock import now
from benchmarks.workloads import WORKLOADS
from trajlab import Recorder, probes

TASKS = ["a", "b", "c"]
TURN = 10
TARGET = 1.03


def lane(workload: str, recorded: bool, folder: Path) -> tuple[Callable[[], None], Recorder | None]:
    """Return a step of training and what closes the recorder."""
    torch.manual_seed(0)
    model, x = WORKLOADS[workload](len(TASKS))
    y: Tensor = torch.randint(0, 10, (len(TASKS), len(x)))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    options = {"tasks": TASKS, "shared": model.trunk, "optimizer": optimizer}
    path = folder / f"{workload}.h5"
    recorder = Recorder(path, model, probes=probes.light(), **options) if recorded else None

    def step() -> None:
        losses = model.losses(x, y)[1]
        if recorder is None:
            sum(losses).backward()
        else:
            recorder.backward(dict(zip(TASKS, losses, strict=True)))
        optimizer.step()
        optimizer.zero_grad()

    return step, recorder


def ratios(workload: str, quick: bool) -> tuple[float, float]:
    """Return the ratio of a whole run, and that of its steps from 100 on."""
    steps = 400 if quick else 1_000
    with tempfile.TemporaryDirectory() as folder:
        lanes = [lane(workload, recorded, Path(folder)) for recorded in (False, True)]
        seconds = np.zeros((steps // TURN, 2))
        for turn in range(steps // TURN):
            for which in (0, 1) if turn % 2 else (1, 0):
                began = now()
                for _ in range(TURN):
                    lanes[which][0]()
                seconds[turn, which] = now() - began
        lanes[1][1].close()
    whole, later = seconds.sum(0), seconds[100 // TURN :].sum(0)
    return float(whole[1] / whole[0]), float(later[1] / later[0])


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workloads", nargs="*", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_device(given.device)
    print("| workload | time / plain | from step 100 on | target |\n|---|---|---|---|")
    for workload in given.workloads:
        whole, later = ratios(workload, given.quick)
        print(f"| {workload} | {whole:.3f} | {later:.3f} | {TARGET} |", flush=True)


if __name__ == "__main__":
    main()
