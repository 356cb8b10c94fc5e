"""What recording the Gram matrix of task gradients costs, beside what others cost.

Every method runs on its own copy of one model, one step at a time in random order, so that a busy
machine is busy for all; a ratio is a step's process time over the plain step's of the same round.
On a GPU (``--device cuda``) it is the time until the device has no work left.
"""

import argparse
import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gram_ways import Lane
from benchmarks.peak import high_water
from benchmarks.workloads import WORKLOADS
from trajlab import Trajectory

Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """Methods that are timed beside each other; with `own`, each task has a batch of its own."""

    workload: str
    tasks: int
    methods: list[str]
    rounds: int
    own: bool = False


def count_flops(step: Step) -> int:
    """Return the floating-point operations of a step, without hooks that tell its modules apart."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = contextlib.nullcontext()
    counter.mod_tracker.parents = {"Global"}
    with counter:
        step()
    return counter.get_total_flops()


def cost(case: Case) -> list[dict]:
    """Time the methods of a case, interleaved; return one row a method."""
    torch.manual_seed(0)
    model, x = WORKLOADS[case.workload](case.tasks)
    order = random.Random(0)
    # a schedule of every 10 steps is timed over 10 steps, and so is its plain step
    group = 10 if any("10 steps" in name for name in case.methods) else 1
    with tempfile.TemporaryDirectory() as folder:
        names = ["plain", *case.methods]
        lanes = {name: Lane(name, model, x, folder, case.own) for name in names}
        flops = {}
        for name, lane in lanes.items():
            lane.step()
            flops[name] = count_flops(lane.step)
            lane.seconds.clear()
        for _ in range(case.rounds):
            for name in order.sample(names, len(names)):
                for _ in range(group):
                    lanes[name].step()
        for lane in lanes.values():
            lane.close()
        errors = cosine_errors(Path(folder))
    grouped = {
        name: [sum(lane.seconds[i : i + group]) for i in range(0, len(lane.seconds), group)]
        for name, lane in lanes.items()
    }
    rows = []
    for name in case.methods:
        ratios = [a / b for a, b in zip(grouped[name], grouped["plain"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        rows.append(
            {
                "workload": case.workload + (", own inputs" if case.own else ""),
                "tasks": case.tasks,
                "method": name,
                "ratio": middle,
                "low": low,
                "high": high,
                "flops": flops[name] / flops["plain"],
                "plain_ms": 1e3 * statistics.median(grouped["plain"]) / group,
            }
        )
        if name in errors:
            rows[-1]["cosine_error"] = errors[name]
        print_row(rows[-1])
    return rows


def cosine_errors(folder: Path) -> dict[str, float]:
    """Return the root mean square error of projected cosines, where exact ones were recorded too.

    Recording leaves training as it is, so that both lanes' steps are the same.
    """
    exact, projected = folder / "trajlab.h5", folder / "trajlab, projected.h5"
    if not (exact.exists() and projected.exists()):
        return {}
    truth, estimate = (cosines(Trajectory(path).gram()) for path in (exact, projected))
    pairs = np.triu_indices(truth.shape[-1], 1)
    return {projected.stem: float(np.mean((estimate - truth)[:, *pairs] ** 2) ** 0.5)}


def cosines(gram: np.ndarray) -> np.ndarray:
    """Return cosines of Gram matrices of shape (step, task, task)."""
    norms = np.sqrt(np.diagonal(gram, axis1=1, axis2=2))
    return gram / norms[:, :, None] / norms[:, None, :]


def print_row(row: dict) -> None:
    """Print one row, with its target where there is one."""
    target = TARGETS.get((row["workload"], row["tasks"], row["method"]))
    print(
        f"{row['workload']:<16} {row['tasks']:>3}  {row['method']:<26} "
        f"{row['ratio']:>6.2f} ({row['low']:.2f}–{row['high']:.2f})  flops {row['flops']:>5.2f}"
        + (f"  cosine error {row['cosine_error']:.4f}" if "cosine_error" in row else "")
        + (f"  target {target:.2f}" if target else ""),
        flush=True,
    )


def memory(workload: str, tasks: int, name: str) -> float:
    """Return by how many MiB three steps of a method raise the peak of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.gram", "--peak", workload, str(tasks), name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak(workload: str, tasks: int, name: str) -> None:
    """Print by how many MiB three steps raise this process's peak."""
    torch.set_num_threads(1)
    model, x = WORKLOADS[workload](tasks)
    with tempfile.TemporaryDirectory() as folder:
        lane = Lane(name, model, x, folder, own=False)
        before = high_water()
        for _ in range(3):
            lane.step()
        print((high_water() - before) / 1024)
        lane.close()


TARGETS = {
    **{("mlp", t, "trajlab"): r for t, r in ((2, 1.45), (3, 1.6), (8, 2.2), (40, 4.6))},
    **{(w, t, "trajlab"): 1.05 * (1 + 2 * t) / 3 for w in ("cnn", "trf") for t in (2, 3, 8, 40)},
    **{(f"{w}, own inputs", t, "trajlab"): 1.15 for w in WORKLOADS for t in (2, 3, 8, 20)},
    **{(w, t, "trajlab, representation"): 1.1 for w in WORKLOADS for t in (2, 3, 8)},
    # a pass a task at a tenth of the steps comes to 1.135, of which a Linear trunk saves more
    **{(w, 3, "trajlab, every 10 steps"): 1.06 if w == "mlp" else 1.15 for w in WORKLOADS},
    **{("trf", t, "trajlab, projected"): r for t, r in ((3, 1.85), (8, 4.1))},
    **{(w, 3, "trajlab, off schedule"): 1.01 for w in WORKLOADS},
}

BOUND = "pull-backs alone"
PEERS = [
    "naive autograd",
    "LibMTL's way",
    "TorchJD mtl_backward",
    "TorchJD, chunk 1",
    "TorchJD autogram",
]


RARELY = ["trajlab, every 10 steps", "trajlab, off schedule"]
REPRESENTATION = ["trajlab, representation"]


def cases(quick: bool) -> list[Case]:
    """Return what is measured; `quick` leaves out the dearer peers and the lesser targets."""
    peers = [name for name in PEERS if "TorchJD" not in name or find_spec("torchjd")]
    few = [name for name in peers if name in ("naive autograd", "TorchJD, chunk 1")]
    shown = ["trajlab", BOUND, *(few if quick else peers)]
    chosen = [Case("mlp", t, shown, 31 if quick else 15) for t in (2, 3, 8)]
    chosen += [Case("mlp", 40, shown, 9 if quick else 15)]
    chosen += [
        Case(workload, tasks, [*shown, "trajlab, projected"], 7 if quick else 5)
        for workload in ("cnn", "trf")
        for tasks in (3, 8)
        if not (quick and workload == "cnn" and tasks == 8)
    ]
    own = (3, 20) if quick else (2, 3, 8, 20)
    chosen += [Case("mlp", t, ["trajlab", "naive autograd"], 31, own=True) for t in own]
    chosen += [Case("mlp", 3, REPRESENTATION, 61), Case("mlp", 3, RARELY, 31)]
    if not quick:
        chosen += [Case(w, 3, ["trajlab"], 5, own=True) for w in ("cnn", "trf")]
        chosen += [Case(w, 3, REPRESENTATION, 5) for w in ("cnn", "trf")]
        chosen += [Case(w, 3, RARELY, 3) for w in ("cnn", "trf")]
    return chosen


def draw(rows: list[dict], path: Path) -> None:
    """Draw the ratios of the shared-input workloads against the number of tasks."""
    import pandas as pd
    import seaborn as sns

    frame = pd.DataFrame([r for r in rows if "ratio" in r])
    methods = ["trajlab", *PEERS]
    grid = sns.relplot(
        frame[frame["method"].isin(methods) & frame["workload"].isin(WORKLOADS)],
        x="tasks",
        y="ratio",
        col="workload",
        hue="method",
        style="method",
        kind="line",
        markers=True,
        height=3,
        facet_kws={"sharex": False, "sharey": False},
    )
    grid.set_axis_labels("tasks", "time / plain step")
    grid.savefig(path)


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smaller cases, under 2 minutes")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--figure", type=Path, help="draw the ratios to this file")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        workload, tasks, name = arguments.peak
        peak(workload, int(tasks), name)
        return
    torch.set_num_threads(1)
    torch.set_default_device(arguments.device)
    rows: list[dict] = []
    for case in cases(arguments.quick):
        rows += cost(case)
    if not arguments.quick:
        for workload, tasks in (("mlp", 40), ("cnn", 40), ("trf", 40)):
            for name in ("plain", "trajlab", "LibMTL's way"):
                rows.append(
                    {
                        "workload": workload,
                        "tasks": tasks,
                        "method": name,
                        "peak_mib": memory(workload, tasks, name),
                    }
                )
                print(rows[-1], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.figure:
        draw(rows, arguments.figure)


if __name__ == "__main__":
    main()
