"""Models that benchmarks train: an MLP, a residual network and a transformer."""

import torch
from torch import Tensor, nn


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
