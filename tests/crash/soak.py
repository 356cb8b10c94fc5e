"""A million steps of eight tasks: what memory and a step cost from the first to the last.

    python -m tests.crash.soak FOLDER --figure docs/soak.svg

Losses at every step, Gram matrices at every hundredth, an evaluation at every thousandth, a flush
every ten seconds. Stopped and started again, it goes on where it was.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import nn

from trajlab import Recorder
from trajlab.record.probes import TaskGradients
from trajlab.store import Trajectory

TASKS = [f"task {i}" for i in range(8)]
PIECE = 10_000  # steps a line


class Model(nn.Module):
    """The smallest that shares a trunk."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(4, 4)
        self.heads = nn.Linear(4, len(TASKS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return an output for each task."""
        out: torch.Tensor = self.heads(torch.tanh(self.trunk(x)))
        return out


def record(path: Path, told: Path, steps: int) -> None:
    """Train on, and add a line to `told` for every `PIECE` steps."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    done = pd.read_csv(told)["step"].iloc[-1] if told.exists() else 0
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    x = torch.randn(4, 4)
    with Recorder(
        path,
        model,
        tasks=TASKS,
        shared=model.trunk,
        optimizer=optimizer,
        probes=[TaskGradients(every=100)],
        resume=True,
    ) as recorder:
        if done:
            recorder.load_state_dict({"step": int(done), "epoch": 0})
        for first in range(done, steps, PIECE):
            began = time.process_time()
            for step in range(first, first + PIECE):
                losses = model(x).pow(2).mean(0)
                recorder.backward(dict(zip(TASKS, losses, strict=True)))
                optimizer.step()
                optimizer.zero_grad()
                if step % 1000 == 999:
                    scores = {task: {"loss": 1 / (1 + step)} for task in TASKS}
                    recorder.evaluate("test", scores)
            microseconds = (time.process_time() - began) / PIECE * 1e6
            recorder.flush()
            note(told, first + PIECE, microseconds)


def note(told: Path, step: int, microseconds: float) -> None:
    """Add a line."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    line = f"{step},{microseconds:.1f},{pages * resource.getpagesize() / 2**20:.1f}\n"
    with told.open("a") as file:
        if file.tell() == 0:
            file.write("step,microseconds,MiB\n")
        file.write(line)


def draw(told: Path, figure: Path) -> None:
    """Draw memory and the cost of a step against the step."""
    lines = pd.read_csv(told)
    drawn = Figure(figsize=(6, 3.2), layout="constrained")
    memory, cost = drawn.subplots(2, sharex=True)
    memory.plot(lines["step"], lines["MiB"])
    memory.set(ylabel="memory / MiB", ylim=(0, None))
    cost.plot(lines["step"], lines["microseconds"])
    cost.set(ylabel="CPU a step / µs", ylim=(0, None), xlabel="step")
    drawn.savefig(figure)


def main() -> None:
    """Record, seal, read, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--figure", type=Path, default=None)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path, told = options.folder / "run.h5", options.folder / "soak.csv"
    record(path, told, options.steps)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    run = Trajectory(path)
    table = run.table("losses")
    np.testing.assert_array_equal(table["step"], np.arange(options.steps))
    assert np.isfinite(table["loss"]).all()
    assert len(run.table("gradients")["step"]) == options.steps // 100
    assert np.isfinite(run.gram()).all()
    print(f"{path.stat().st_size / 1e6:.0f} MB, status {run.status}, problems {run.problems}")
    print(f"memory at most {most:.0f} MiB, sealing included")
    lines = pd.read_csv(told)
    print(lines.iloc[[0, len(lines) // 2, -1]].to_string(index=False))
    if options.figure:
        draw(told, options.figure)


if __name__ == "__main__":
    main()
