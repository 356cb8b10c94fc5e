"""What recording the Gram matrix of task gradients costs, beside what others cost.

Every method runs on its own copy of one model, one step at a time in random order, so that a busy
machine is busy for all; a ratio is a step's process time over the plain step's of the same round.
On a GPU (``--device cuda``) it is the time until the device has no work left.
"""

import argparse
import contextlib
import copy
import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.clock import now
from trajlab import Recorder, probes

Step = Callable[[], None]


class Model(nn.Module):
    """A trunk and one linear head a task."""

    def __init__(self, trunk: nn.Module, width: int, tasks: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleList(nn.Linear(width, 10) for _ in range(tasks))

    def losses(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the representation and the losses."""
        z = self.trunk(x)
        return z, [nn.functional.cross_entropy(h(z), t) for h, t in zip(self.heads, y, strict=True)]

    def own_losses(self, x: Tensor, y: Tensor) -> tuple[None, list[Tensor]]:
        """Return the losses, each on a batch of its own."""
        batches = [x.roll(shift, -1) for shift in range(len(self.heads))]
        return None, [
            nn.functional.cross_entropy(h(self.trunk(b)), t)
            for h, b, t in zip(self.heads, batches, y, strict=True)
        ]


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.skip = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated sum."""
        return torch.relu(self.body(x) + self.skip(x))


class Mean(nn.Module):
    """Mean over positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean."""
        return x.mean(1)


def mlp(tasks: int) -> tuple[Model, Tensor]:
    """Two Linear layers of 512 on 784 inputs, 64 rows."""
    trunk = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU())
    return Model(trunk, 512, tasks), torch.randn(64, 784)


def cnn(tasks: int) -> tuple[Model, Tensor]:
    """ResNet-18 of width 32 on 16 images of 32 x 32."""
    widths = (32, 64, 128, 256)
    blocks: list[nn.Module] = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    before = 32
    for level, width in enumerate(widths):
        blocks += [Residual(before, width, 1 + (level > 0)), Residual(width, width, 1)]
        before = width
    trunk = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Model(trunk, 256, tasks), torch.randn(16, 3, 32, 32)


def trf(tasks: int) -> tuple[Model, Tensor]:
    """Four encoder layers of width 256 on 8 sequences of 64."""
    layer = nn.TransformerEncoderLayer(256, 4, 1024, dropout=0.0, batch_first=True)
    trunk = nn.Sequential(nn.TransformerEncoder(layer, 4, enable_nested_tensor=False), Mean())
    return Model(trunk, 256, tasks), torch.randn(8, 64, 256)


WORKLOADS = {"mlp": mlp, "cnn": cnn, "trf": trf}


def inner_products(gradients: list[list[Tensor]]) -> Tensor:
    """Return the Gram matrix of gradients given as lists of tensors."""
    flat = torch.stack([torch.cat([g.flatten() for g in row]) for row in gradients])
    return flat @ flat.T


def plain(model: Model, losses: Callable[[], tuple[Tensor, list[Tensor]]]) -> None:
    """Train on the sum alone."""
    sum(losses()[1]).backward()


def naive(model: Model, losses: Callable[[], tuple[Tensor, list[Tensor]]]) -> None:
    """One autograd pass a task, then the training backward."""
    values = losses()[1]
    shared = list(model.trunk.parameters())
    inner_products([list(torch.autograd.grad(v, shared, retain_graph=True)) for v in values])
    sum(values).backward()


def libmtl(model: Model, losses: Callable[[], tuple[Tensor, list[Tensor]]]) -> None:
    """Backward a task, gradients copied out of .grad into one matrix; its mean is applied."""
    values = losses()[1]
    shared = list(model.trunk.parameters())
    matrix = torch.zeros(len(values), sum(p.numel() for p in shared))
    for row, value in zip(matrix, values, strict=True):
        value.backward(retain_graph=True)
        row.copy_(torch.cat([p.grad.flatten() for p in shared]))
        for p in shared:
            p.grad.zero_()
    matrix @ matrix.T
    total = matrix.sum(0)
    for p, part in zip(shared, total.split([p.numel() for p in shared]), strict=True):
        p.grad.copy_(part.view_as(p))


def torchjd_mtl(
    chunk: int | None,
) -> Callable[[Model, Callable[[], tuple[Tensor, list[Tensor]]]], None]:
    """Return TorchJD's way, that many tasks at once."""
    from torchjd.autojac import mtl_backward

    def method(model: Model, losses: Callable[[], tuple[Tensor, list[Tensor]]]) -> None:
        z, values = losses()
        mtl_backward(values, features=z, parallel_chunk_size=chunk)
        gram = torch.zeros(len(values), len(values))
        for p in model.trunk.parameters():
            jacobian = p.jac.flatten(1)
            gram += jacobian @ jacobian.T
            p.grad = p.jac.sum(0)
            del p.jac

    return method


class Lane:
    """One method on its own copy of the model."""

    def __init__(self, name: str, model: Model, x: Tensor, folder: str, own: bool) -> None:
        self.model = copy.deepcopy(model)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 0.01)
        tasks = len(model.heads)
        y = torch.randint(
            0, 10, (tasks, len(x)), generator=torch.Generator(x.device).manual_seed(0)
        )
        produce = self.model.own_losses if own else self.model.losses
        self._losses = lambda: produce(x, y)
        self.seconds: list[float] = []
        self._recorder: Recorder | None = None
        if name.startswith("trajlab"):
            self._names = [f"task {t}" for t in range(tasks)]
            every = {"trajlab, every 10 steps": 10, "trajlab, off schedule": 10**9}.get(name, 1)
            options = {
                "trajlab, representation": {"scope": "representation"},
                "trajlab, projected": {"method": "projected"},
            }.get(name, {})
            self._recorder = Recorder(
                f"{folder}/{name}.h5",
                self.model,
                tasks=self._names,
                shared=self.model.trunk,
                optimizer=self.optimizer,
                probes=[probes.TaskGradients(every, **options)],
            )
        elif name == "TorchJD autogram":
            from torchjd.autogram import Engine

            self._engine = Engine(self.model.trunk, batch_dim=None)
        self._name = name

    def step(self) -> None:
        """Train one step and note its process time."""
        started = now()
        if self._recorder is not None:
            values = self._losses()[1]
            self._recorder.backward(dict(zip(self._names, values, strict=True)))
        elif self._name == "TorchJD autogram":
            values = self._losses()[1]
            self._engine.compute_gramian(torch.stack(values))
            sum(values).backward()
        else:
            METHODS[self._name](self.model, self._losses)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.seconds.append(now() - started)

    def close(self) -> None:
        """Close the recorder, if there is one."""
        if self._recorder is not None:
            self._recorder.close()


METHODS = {"plain": plain, "naive autograd": naive, "LibMTL's way": libmtl}


def count_flops(step: Step) -> int:
    """Return the floating-point operations of a step, without hooks that tell its modules apart."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = contextlib.nullcontext()
    counter.mod_tracker.parents = {"Global"}
    with counter:
        step()
    return counter.get_total_flops()


def cost(workload: str, tasks: int, names: list[str], rounds: int, own: bool) -> list[dict]:
    """Time some methods, interleaved; return one row a method."""
    torch.manual_seed(0)
    model, x = WORKLOADS[workload](tasks)
    order = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        lanes = {name: Lane(name, model, x, folder, own) for name in ["plain", *names]}
        flops = {}
        for name, lane in lanes.items():
            lane.step()
            flops[name] = count_flops(lane.step)
            lane.seconds.clear()
        for _ in range(rounds):
            for name in order.sample(list(lanes), len(lanes)):
                # a schedule of every 10 steps is timed over 10 steps, and so is its plain step
                for _ in range(10 if any("10 steps" in n for n in names) else 1):
                    lanes[name].step()
        for lane in lanes.values():
            lane.close()
    group = 10 if any("10 steps" in n for n in names) else 1
    grouped = {
        name: [sum(lane.seconds[i : i + group]) for i in range(0, len(lane.seconds), group)]
        for name, lane in lanes.items()
    }
    rows = []
    for name in names:
        ratios = [a / b for a, b in zip(grouped[name], grouped["plain"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        rows.append(
            {
                "workload": workload + (", own inputs" if own else ""),
                "tasks": tasks,
                "method": name,
                "ratio": middle,
                "low": low,
                "high": high,
                "flops": flops[name] / flops["plain"],
                "plain_ms": 1e3 * statistics.median(grouped["plain"]) / group,
            }
        )
        print_row(rows[-1])
    return rows


def print_row(row: dict) -> None:
    """Print one row, with its target where there is one."""
    target = TARGETS.get((row["workload"], row["tasks"], row["method"]))
    print(
        f"{row['workload']:<16} {row['tasks']:>3}  {row['method']:<26} "
        f"{row['ratio']:>6.2f} ({row['low']:.2f}–{row['high']:.2f})  flops {row['flops']:>5.2f}"
        + (f"  target {target:.2f}" if target else ""),
        flush=True,
    )


def memory(workload: str, tasks: int, name: str) -> float:
    """Return by how many MiB three steps of a method raise the peak of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.gram", "--peak", workload, str(tasks), name]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def high_water() -> int:
    """Return this process's peak in KiB (Linux): ru_maxrss would be that of its parent too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


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
    **{(w, 3, "trajlab, every 10 steps"): 1.15 for w in WORKLOADS},
    **{("trf", t, "trajlab, projected"): r for t, r in ((3, 1.9), (8, 4.1))},
    **{(w, 3, "trajlab, off schedule"): 1.01 for w in WORKLOADS},
}

PEERS = [
    "naive autograd",
    "LibMTL's way",
    "TorchJD mtl_backward",
    "TorchJD, chunk 1",
    "TorchJD autogram",
]


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
    METHODS["TorchJD mtl_backward"] = torchjd_mtl(None)
    METHODS["TorchJD, chunk 1"] = torchjd_mtl(1)
    quick = arguments.quick
    rows: list[dict] = []
    every = ["trajlab", *(name for name in PEERS if "TorchJD" not in name or find_spec("torchjd"))]
    for tasks in (2, 3, 8) if quick else (2, 3, 8, 40):
        rows += cost("mlp", tasks, every, 9 if quick else 15, own=False)
    for workload in ("cnn", "trf"):
        for tasks in (3,) if quick else (3, 8):
            rows += cost(
                workload,
                tasks,
                ["trajlab", "trajlab, projected", "naive autograd"]
                if quick
                else [*every, "trajlab, projected"],
                3 if quick else 5,
                own=False,
            )
    for tasks in (3,) if quick else (2, 3, 8, 20):
        rows += cost("mlp", tasks, ["trajlab", "naive autograd"], 9 if quick else 11, own=True)
    for workload in () if quick else ("cnn", "trf"):
        rows += cost(workload, 3, ["trajlab"], 3, own=True)
    for workload in ("mlp",) if quick else WORKLOADS:
        rounds = 9 if workload == "mlp" else 3
        rows += cost(
            workload,
            3,
            ["trajlab, every 10 steps", "trajlab, off schedule", "trajlab, representation"],
            rounds,
            False,
        )
    if not quick:
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
