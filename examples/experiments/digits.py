"""What the experiments share: handwritten digits, a small model, a plain loop that records."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from trajlab import Recorder, probes

_IMAGES, _DIGITS = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
IMAGES = (_IMAGES / 16).float()
LABELS = {"digit": _DIGITS, "parity": _DIGITS % 2} | {
    f"is {n}": 1 * (n == _DIGITS) for n in range(9)
}
TRAIN, TEST = slice(0, 600), slice(600, 1797)


class Model(nn.Module):
    """A trunk, and a head for each task."""

    def __init__(self, tasks: list[str], width: int = 48) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, width), nn.ReLU())
        classes = {task: int(LABELS[task].max()) + 1 for task in tasks}
        self.heads = nn.ModuleDict({task: nn.Linear(width, n) for task, n in classes.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the logits of each task."""
        z = self.trunk(x)
        return {task: head(z) for task, head in self.heads.items()}


def task_losses(model: Model, rows: Tensor | slice) -> dict[str, Tensor]:
    """Return the loss of each task on some images."""
    logits = model(IMAGES[rows])
    return {t: nn.functional.cross_entropy(out, LABELS[t][rows]) for t, out in logits.items()}


@torch.no_grad()
def evaluate(model: Model, rows: slice) -> dict[str, dict[str, float]]:
    """Return loss and accuracy, in percent, of each task."""
    logits, losses = model(IMAGES[rows]), task_losses(model, rows)
    right = {task: (out.argmax(1) == LABELS[task][rows]).float() for task, out in logits.items()}
    return {
        task: {"loss": float(losses[task]), "accuracy": 100 * float(right[task].mean())}
        for task in logits
    }


def train(
    file: Path,
    tasks: list[str],
    metadata: Mapping[str, object],
    *,
    optimizer: type[torch.optim.Optimizer] = torch.optim.SGD,
    lr: float = 0.3,
    weights: Mapping[str, float] | None = None,
    epochs: int = 25,
) -> None:
    """Train and record one run; the seed is that of the metadata."""
    torch.manual_seed(int(metadata["seed"]))
    model = Model(tasks)
    made = optimizer(model.parameters(), lr)
    with Recorder(
        file,
        model,
        tasks=tasks,
        shared=model.trunk,
        optimizer=made,
        probes=[probes.TaskGradients(every=10)],
        metadata={"setting": "8x8 digits", **metadata},
    ) as recorder:
        for _ in range(epochs):
            for batch in torch.randperm(TRAIN.stop).split(60):
                recorder.backward(task_losses(model, batch), weights)
                made.step()
                made.zero_grad()
            recorder.evaluate("train", evaluate(model, TRAIN))
            recorder.evaluate("test", evaluate(model, TEST))


def trajlab(*arguments: str | Path) -> None:
    """Run a command of trajlab, as one would type it."""
    print("\n$ trajlab", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "trajlab", *map(str, arguments)], check=True)
