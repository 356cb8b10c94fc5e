"""Small networks on real digits whose exact Hessian can be computed."""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy


@dataclass(frozen=True)
class Problem:
    """A model in evaluation mode, its data and loss, and the exact Hessian, float64."""

    name: str
    model: nn.Module
    x: Tensor
    y: Tensor
    criterion: nn.Module
    hessian: Tensor

    def loss(self) -> Tensor:
        """Return the loss with its graph."""
        loss: Tensor = self.criterion(self.model(self.x), self.y)
        return loss


class Transformer(nn.Module):
    """One encoder layer over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(8, 8) / 10)
        self.embedding = nn.Linear(8, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.layer(self.embedding(x) + self.position).mean(1))
        return logits


class Indefinite(nn.Module):
    """A loss whose Hessian's ends are of almost equal magnitude."""

    reduction = "mean"

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return output[:, 0].pow(2).mean() - 1.01 * output[:, 1].pow(2).mean()


def mlp() -> nn.Module:
    """Return an MLP of 910 parameters."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))


def cnn() -> nn.Module:
    """Return a CNN of 690 parameters, with batch normalisation."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8)),
        nn.Conv2d(1, 8, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


KINDS: tuple[tuple[str, Callable[[], nn.Module], int, type[nn.Module]], ...] = (
    ("mlp, start", mlp, 0, nn.CrossEntropyLoss),
    ("mlp, trained", mlp, 400, nn.CrossEntropyLoss),
    ("cnn, start", cnn, 0, nn.CrossEntropyLoss),
    ("cnn, trained", cnn, 400, nn.CrossEntropyLoss),
    ("transformer, start", Transformer, 0, nn.CrossEntropyLoss),
    ("transformer, trained", Transformer, 800, nn.CrossEntropyLoss),
    ("mlp, indefinite", mlp, 0, Indefinite),
)


def problems(only: str = "", but: Container[str] = ()) -> Iterator[Problem]:
    """Make the problems whose name holds `only`: 256 digits; Adam on batches of 64."""
    digits = load_digits()
    x = torch.tensor(digits.images[:256] / 16, dtype=torch.float32)
    y = torch.tensor(digits.target[:256])
    for name, make, steps, criterion in KINDS:
        if only not in name or name in but:
            continue
        torch.manual_seed(0)
        model = make()
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(steps):
            batch = torch.randint(0, len(x), (64,))
            optimizer.zero_grad()
            cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
        optimizer.zero_grad()
        model.eval()
        loss = criterion()
        yield Problem(name, model, x, y, loss, exact_hessian(model, loss(model(x), y)))


def exact_hessian(model: nn.Module, loss: Tensor) -> Tensor:
    """Compute the Hessian row by row, float64, shape (parameter, parameter)."""
    parameters = list(model.parameters())
    slopes = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
    gradient = torch.cat([(g + 0 * p).flatten() for g, p in zip(slopes, parameters, strict=True)])
    rows = [torch.autograd.grad(entry, parameters, retain_graph=True) for entry in gradient]
    hessian = torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).double()
    return (hessian + hessian.T) / 2
