"""The model and the data of the examples: two classifications of the same points."""

import torch
from torch import Tensor, nn

TASKS = ["left", "right"]


class Model(nn.Module):
    """A trunk and two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU())
        self.left = nn.Linear(16, 3)
        self.right = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the logits of both tasks."""
        z = self.trunk(x)
        return {"left": self.left(z), "right": self.right(z)}


def batches(n: int = 20, size: int = 16, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Return batches of points with a label a task."""
    generator = torch.Generator().manual_seed(seed)
    teacher = torch.randn(10, 2, 3, generator=torch.Generator().manual_seed(7))
    points = [torch.randn(size, 10, generator=generator) for _ in range(n)]
    return [(x, torch.einsum("ni,itk->ntk", x, teacher).argmax(2)) for x in points]


def task_losses(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Return the loss of each task."""
    x, y = batch
    logits = model(x)
    return {t: nn.functional.cross_entropy(logits[t], y[:, i]) for i, t in enumerate(TASKS)}


@torch.no_grad()
def evaluate(model: nn.Module, data: list[tuple[Tensor, Tensor]]) -> dict[str, dict[str, float]]:
    """Return loss and accuracy of each task."""
    x, y = (torch.cat(parts) for parts in zip(*data, strict=True))
    logits, losses = model(x), task_losses(model, (x, y))
    return {
        t: {
            "loss": float(losses[t]),
            "accuracy": float((logits[t].argmax(1) == y[:, i]).float().mean()),
        }
        for i, t in enumerate(TASKS)
    }
