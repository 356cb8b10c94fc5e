"""A small two-task model for the tests of training loops, and its float64 truth."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trajlab import Recorder
from trajlab.record.probes import Probe

Batch = tuple[Tensor, Tensor]
TASKS = ["left", "right"]
SAMPLED = {  # a column of each table whose probe draws a sample of its own
    "hessian": "top",
    "hessian_density": "eigenvalue",
    "noise": "covariance_trace",
    "similarity": "cosine",
    "sharpness": "value",
    "affinity": "affinity",
    "fisher": "trace",
}


def batches(n: int, size: int = 8, seed: int = 1) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(size, 6, generator=generator),
            torch.randint(0, 3, (size, 2), generator=generator),
        )
        for _ in range(n)
    ]


def joined(parts: Sequence[Batch]) -> Batch:
    xs, ys = zip(*parts, strict=True)
    return torch.cat(xs), torch.cat(ys)


def losses(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    x, y = batch
    left, right = model(x)
    ce = nn.functional.cross_entropy
    return {"left": ce(left, y[:, 0]), "right": ce(right, y[:, 1])}


def recorder(path: Path, model: nn.Module, **settings: Any) -> Recorder:
    """Record both tasks."""
    return Recorder(path, model, tasks=TASKS, **settings)


def recorder_of(
    path: Path, model: nn.Module, optimizer: Any, *chosen: Probe, **settings: Any
) -> Recorder:
    """Record both tasks, with the model's trunk as what they share."""
    settings |= {"shared": model.trunk, "optimizer": optimizer, "probes": chosen}
    return recorder(path, model, **settings)


def true_gradients(model: nn.Module, batch: Batch, prefix: str = "trunk.") -> Tensor:
    """Each task's gradient with respect to the trunk in float64, shape (task, parameter)."""
    model = deepcopy(model).double()
    wanted = [p for n, p in model.named_parameters() if n.startswith(prefix) and p.requires_grad]
    x, y = batch
    rows = [
        torch.autograd.grad(loss, wanted, retain_graph=True)
        for loss in losses(model, (x.double(), y)).values()
    ]
    return torch.stack([torch.cat([g.reshape(-1) for g in row]) for row in rows])


def true_gram(model: nn.Module, batch: Batch, prefix: str = "trunk.") -> Tensor:
    gradients = true_gradients(model, batch, prefix)
    return gradients @ gradients.mT


def same(a: nn.Module, b: nn.Module) -> bool:
    """Say whether two models hold the same weights and buffers, bit for bit."""
    ours, theirs = a.state_dict(), b.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours | theirs)


def total(values: Mapping[str, Tensor]) -> Tensor:
    return values["left"] + values["right"]
