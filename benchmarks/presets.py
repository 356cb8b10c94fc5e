"""What the presets cost: training with each set of probes, as a ratio to training with none.

Run ``python benchmarks/presets.py [--quick]``. An epoch is 100 steps of batch 64; the sample is 16
batches of 128; model 64-128-128 with two heads of 10 classes.
"""

import argparse
import logging
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trajlab import Recorder, probes

TASKS = ["left", "right"]


class TwoHeads(nn.Module):
    """An MLP trunk with two linear heads."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())
        self.left, self.right = nn.Linear(128, 10), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of both tasks."""
        z = self.trunk(x)
        return self.left(z), self.right(z)


def losses(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Return the per-example losses."""
    return {
        task: cross_entropy(out, y, reduction="none")
        for task, out, y in zip(TASKS, model(batch[0]), batch[1], strict=True)
    }


def batch(n: int) -> tuple[Tensor, Tensor]:
    """Draw a batch."""
    return torch.randn(n, 64), torch.randint(0, 10, (2, n))


def train(preset: str, epochs: int) -> float:
    """Return the process time of training."""
    torch.manual_seed(0)
    model = TwoHeads()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    sample = [batch(128) for _ in range(16)]
    chosen = {
        "none": list,
        "light": probes.light,
        "paper": lambda: probes.paper(sample),
        "full": lambda: probes.full(sample),
    }[preset]()
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(
            Path(folder) / "run.h5",
            model,
            tasks=TASKS,
            shared=model.trunk,
            optimizer=optimizer,
            probes=chosen,
            task_losses=losses,
            predict=lambda model, batch: dict(zip(TASKS, model(batch[0]), strict=True)),
        )
        with nullcontext() if preset == "none" else recorder:
            for _ in range(epochs):
                for _ in range(100):
                    found = {task: loss.mean() for task, loss in losses(model, batch(64)).items()}
                    if preset == "none":
                        sum(found.values()).backward()
                    else:
                        recorder.backward(found)
                    optimizer.step()
                    optimizer.zero_grad()
                if preset != "none":
                    recorder.evaluate("train", {task: {"loss": 0.0} for task in TASKS})
        recorder.close()
    return time.process_time() - start


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    epochs, rounds = (1, 1) if quick else (3, 3)
    presets = ["none", "light", "paper", "full"]
    seconds = {preset: [] for preset in presets}
    for _ in range(rounds):  # interleaved
        for preset in presets:
            seconds[preset].append(train(preset, epochs))
    print("| preset | s | ratio to none |\n|---|---|---|")
    for preset in presets:
        ratio = median(a / b for a, b in zip(seconds[preset], seconds["none"], strict=True))
        print(f"| {preset} | {median(seconds[preset]):.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
