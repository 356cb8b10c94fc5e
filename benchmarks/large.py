"""What a probe's step costs on a transformer of 23 million parameters and three tasks.

Every lane trains its own copy, one step at a time in random order; a ratio is a step's process time
over the plain step's of the same round. ``--peak PROBE`` prints by how many MiB three steps raise
the peak of the process, of ``plain`` or of a probe.
"""

import argparse
import contextlib
import copy
import logging
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.clock import now
from benchmarks.peak import high_water
from benchmarks.workloads import Mean, Model
from trajlab import Recorder, probes

TASKS = ["a", "b", "c"]
LANES: dict[str, Callable[[], list[probes.Probe]] | None] = {
    "plain": None,
    "losses": list,
    "Parameters": lambda: [probes.Parameters(1)],
    "TaskGradients": lambda: [probes.TaskGradients(1)],
    "projected": lambda: [probes.TaskGradients(1, method="projected")],
    "GradientSketch": lambda: [probes.GradientSketch(1)],
}


def transformer() -> tuple[Model, Tensor]:
    """Six encoder layers of width 512 on 8 sequences of 64 tokens."""
    layer = nn.TransformerEncoderLayer(512, 8, 2048, dropout=0.0, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
    trunk = nn.Sequential(nn.Embedding(8000, 512), encoder, Mean())
    return Model(trunk, 512, len(TASKS)), torch.randint(0, 8000, (8, 64))


def lane(name: str, model: Model, x: Tensor, folder: str) -> tuple[Callable[[], float], list]:
    """Return a step that returns its time, and the recorders to close."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    y = torch.randint(0, 10, (len(TASKS), len(x)))
    made = LANES[name]
    options = {"tasks": TASKS, "shared": model.trunk, "optimizer": optimizer}
    recorders = [Recorder(f"{folder}/{name}.h5", model, probes=made(), **options)] if made else []

    def step() -> float:
        began = now()
        losses = model.losses(x, y)[1]
        if recorders:
            recorders[0].backward(dict(zip(TASKS, losses, strict=True)))
        else:
            sum(losses).backward()
        optimizer.step()
        optimizer.zero_grad()
        return now() - began

    return step, recorders


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(LANES)}; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", choices=list(LANES))
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    if given.peak:
        with lanes([given.peak]) as steps:
            before = high_water()
            for _ in range(3):
                steps[given.peak]()
            print((high_water() - before) / 1024)
        return
    print("| probe | time / plain (quartiles) |\n|---|---|")
    for name, (low, middle, high) in compare(given.names or [*LANES][1:], given.rounds).items():
        print(f"| {name} | {middle:.2f} ({low:.2f}–{high:.2f}) |")


@contextlib.contextmanager
def lanes(names: list[str]) -> Iterator[dict[str, Callable[[], float]]]:
    """Make a lane a name, and close what it recorded."""
    torch.manual_seed(0)
    model, x = transformer()
    with tempfile.TemporaryDirectory() as folder:
        made = {name: lane(name, model, x, folder) for name in names}
        yield {name: step for name, (step, _) in made.items()}
        for _, recorders in made.values():
            for recorder in recorders:
                recorder.close()


def compare(names: list[str], rounds: int) -> dict[str, list[float]]:
    """Return quartiles of time over that of the plain step, all steps in random order by round."""
    with lanes(["plain", *names]) as steps:
        for step in steps.values():  # the first measurements take longer
            step(), step()
        seconds: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds):
            for name in random.sample([*steps], len(steps)):
                seconds[name].append(steps[name]())
    paired = {
        name: [a / b for a, b in zip(seconds[name], seconds["plain"], strict=True)]
        for name in names
    }
    return {name: statistics.quantiles(ratios, n=4) for name, ratios in paired.items()}


def memory(name: str) -> float:
    """Return by how many MiB three steps of a lane raise the peak of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.large", "--peak", name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
