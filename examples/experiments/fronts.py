"""Two tasks in a narrow trunk: whether optimizers reach beyond the front of tuned weights.

Each weighting and learning rate is a configuration. Those on a method's front on validation are
trained again with fresh seeds, on which the fronts are compared.
"""

import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import torch
from digits import Model, evaluate, task_losses, trajlab
from torch import Tensor

from trajlab import Recorder, analysis, load, probes

TASKS = ["digit", "parity"]
SPLITS = {"train": slice(0, 400), "validation": slice(400, 1000), "test": slice(1000, 1797)}
EPOCHS = 12
folder = Path(sys.argv[1])


def without_conflict(shared: list[Tensor], losses: Mapping[str, Tensor]) -> Tensor:
    """Return PCGrad's update for two tasks: each gradient without its part against the other."""
    grads = [torch.autograd.grad(loss, shared, retain_graph=True) for loss in losses.values()]
    digit, parity = (torch.cat([part.flatten() for part in grad]) for grad in grads)
    against = (digit @ parity).clamp(max=0)
    return (
        (digit + parity)
        - against / parity.square().sum() * parity
        - against / digit.square().sum() * digit
    )


def train(method: str, weight: float, lr: float, seed: int, stage: str) -> None:
    """Train and record one run; the weight is the first task's, of two together."""
    torch.manual_seed(seed)
    model = Model(TASKS, width=4)
    shared = list(model.trunk.parameters())
    optimizer = torch.optim.SGD(model.parameters(), lr)
    weights = {"digit": 2 * weight, "parity": 2 - 2 * weight}
    with Recorder(
        folder / f"{method}-{weight}-{lr}-{stage}{seed}.h5",
        model,
        tasks=TASKS,
        shared=model.trunk,
        optimizer=optimizer,
        probes=[probes.TaskGradients(every=12), probes.GradientSketch(every=48, size=32)],
        metadata={
            "setting": "8x8 digits, width 4",
            "method": method,
            "weight": weight,
            "lr": lr,
            "seed": seed,
            "stage": stage,
        },
    ) as recorder:
        for _ in range(EPOCHS):
            for batch in torch.randperm(SPLITS["train"].stop).split(34):
                losses = task_losses(model, batch)
                if method == "pcgrad":
                    recorder.observe(losses)
                    update = without_conflict(shared, losses)
                    sum(losses.values()).backward()
                    parts = update.split([p.numel() for p in shared])
                    for p, part in zip(shared, parts, strict=True):
                        p.grad = part.view_as(p)
                else:
                    if method == "inverse":  # of each loss: what learned uncertainties tend to
                        inverse = {task: 1 / loss.item() for task, loss in losses.items()}
                        weights = {t: 2 * i / sum(inverse.values()) for t, i in inverse.items()}
                    recorder.backward(losses, weights)
                optimizer.step()
                optimizer.zero_grad()
            for split, rows in SPLITS.items():
                recorder.evaluate(split, evaluate(model, rows))


weightings = [("scalarization", weight) for weight in (0.1, 0.3, 0.5, 0.7, 0.9)]
tried = [*weightings, ("inverse", 0.5), ("pcgrad", 0.5)]
for (method, weight), lr in product(tried, (0.1, 0.3)):
    train(method, weight, lr, 0, "tuning")
grid = ["weight", "lr"]
points = analysis.front(load(folder), metric="accuracy", group_by=grid).points
for method, configuration in points.loc[points["chosen"], ["method", "configuration"]].to_numpy():
    named = dict(pair.split("=") for pair in configuration.split(", "))
    for seed in (10, 11, 12):
        train(method, float(named["weight"]), float(named["lr"]), seed, "fresh")
by = [part for key in grid for part in ("--group-by", key)]
trajlab("front", folder, "--metric", "accuracy", *by, "--fresh", "stage=fresh")
