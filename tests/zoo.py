"""Architectures that a measurement has to be right on: small trunks under several heads."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Losses = list[Tensor | None]


class Heads(nn.Module):
    """A trunk, one linear head a task, and the losses of a fixed batch."""

    def __init__(self, trunk: nn.Module, x: Tensor, tasks: int = 3) -> None:
        super().__init__()
        self.trunk = trunk
        self.register_buffer("x", x)
        with torch.no_grad():
            width = flat(trunk(x)).shape[1]
        self.heads = nn.ModuleList(nn.Linear(width, 2) for _ in range(tasks))
        self.register_buffer("y", torch.randn(tasks, len(x), 2))

    def losses(self, step: int) -> Losses:
        z = flat(self.trunk(self.x))
        return [self.loss(t, z) for t in range(len(self.heads))]

    def loss(self, t: int, z: Tensor) -> Tensor:
        return nn.functional.mse_loss(self.heads[t](z), self.y[t])

    def shared(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.named_parameters() if not n.startswith("heads")}


def flat(z: Tensor) -> Tensor:
    return z.flatten(1)


class Through(nn.Module):
    """A trunk given by its parts and a function of them and the input."""

    def __init__(self, forward: Callable[[nn.Module, Tensor], Tensor], **parts: object) -> None:
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


class OwnInputs(Heads):
    """Each task draws from its own batch."""

    def losses(self, step: int) -> Losses:
        return [self.loss(t, flat(self.trunk(self.x + t))) for t in range(len(self.heads))]


class SomeShared(Heads):
    """The last task has a batch of its own, the others share one."""

    def losses(self, step: int) -> Losses:
        z = flat(self.trunk(self.x))
        own = flat(self.trunk(self.x + 1))
        last = len(self.heads) - 1
        return [self.loss(t, own if t == last else z) for t in range(last + 1)]


class SkipsTrunk(Heads):
    """The second task leaves after the first layer, and the third sees only the input."""

    def losses(self, step: int) -> Losses:
        early = self.trunk[0](self.x)
        z = self.trunk[1:](early)
        direct = (self.x * self.trunk[0].weight[0]).sum()
        return [self.loss(0, z), early.pow(2).mean(), direct]


class Constant(Heads):
    def losses(self, step: int) -> Losses:
        first, second, _ = super().losses(step)
        return [first, torch.tensor(2.0, dtype=self.x.dtype), second]


class Omitted(Heads):
    def losses(self, step: int) -> Losses:
        every = super().losses(step)
        return [None if t == step % 3 else loss for t, loss in enumerate(every)]


class Vanishing(Heads):
    """The dominant task's gradient is exactly zero from the second step on."""

    def losses(self, step: int) -> Losses:
        first, second, third = super().losses(step)
        return [first * (100.0 if step == 0 else 0.0), second, third]


class SameLoss(Heads):
    def losses(self, step: int) -> Losses:
        first, second, _ = super().losses(step)
        return [first, first, first + second]


class Nested(Heads):
    """One task's loss is part of another's."""

    def losses(self, step: int) -> Losses:
        first, second, third = super().losses(step)
        return [first, first.detach() * second + first, third.exp()]


class WeightPenalty(Heads):
    def losses(self, step: int) -> Losses:
        first, second, third = super().losses(step)
        return [first, second + self.trunk[0].weight.pow(2).sum(), third]


class ClippedGradients(Heads):
    """A user's hook on an activation makes the gradient of the sum another than the sum."""

    def losses(self, step: int) -> Losses:
        z = self.trunk[:2](self.x)
        z.register_hook(lambda g: g.clamp(-1e-3, 1e-3))
        z = self.trunk[2:](z)
        return [self.loss(t, z) for t in range(len(self.heads))]


class HookedWeight(Heads):
    def __init__(self, trunk: nn.Module, x: Tensor) -> None:
        super().__init__(trunk, x)
        self.trunk[0].weight.register_hook(lambda g: 2 * g)


class HookedWeightOwnInputs(HookedWeight, OwnInputs):
    """The hook sees each task's gradient only behind where they could be told apart."""


class StaleForward(Heads):
    """Another forward pass with a graph of its own before the one that is trained on."""

    def losses(self, step: int) -> Losses:
        self.trunk(self.x * 2)
        every = super().losses(step)
        self.trunk(self.x * 3)
        return every


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm_a = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm_b = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.relu(self.norm_a(self.a(x)), inplace=True)
        return nn.functional.relu(x + self.norm_b(self.b(y)))


def mlp(*, inplace: bool = False) -> nn.Sequential:
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(inplace), nn.Linear(16, 12), nn.Tanh())


def frozen_bias() -> nn.Module:
    trunk = mlp()
    trunk[0].bias.requires_grad_(False)
    return trunk


def frozen_weight() -> nn.Module:
    trunk = mlp()
    trunk[2].weight.requires_grad_(False)
    return trunk


def tied() -> nn.Module:
    first, second = nn.Linear(20, 20), nn.Linear(20, 20)
    second.weight = first.weight
    return nn.Sequential(first, nn.Tanh(), second)


def shared_bias() -> nn.Module:
    first, second = nn.Linear(20, 20), nn.Linear(20, 20)
    second.bias = first.bias
    return nn.Sequential(first, nn.Tanh(), second)


def recurrent(kind: type[nn.RNNBase]) -> nn.Module:
    return Through(lambda m, x: m.cell(x)[0].mean(1), cell=kind(5, 6, batch_first=True))


def attention() -> nn.Module:
    return Through(
        lambda m, x: m.attention(x, x, x, need_weights=False)[0].mean(1),
        attention=nn.MultiheadAttention(8, 2, batch_first=True),
    )


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    return Through(
        lambda m, x: m.encoder(x).mean(1),
        encoder=nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
    )


def spectral() -> nn.Module:
    return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(20, 6)), nn.Tanh())


def own_forward() -> nn.Module:
    trunk = mlp()
    trunk[0].forward = lambda x: nn.functional.linear(x, trunk[0].weight * 2, trunk[0].bias)
    return trunk


def loose() -> nn.Module:
    return Through(
        lambda m, x: torch.tanh(m.linear(x * m.scale) + m.shift) @ m.matrix,
        linear=nn.Linear(20, 8),
        scale=nn.Parameter(torch.randn(20)),
        shift=nn.Parameter(torch.randn(())),
        matrix=nn.Parameter(torch.randn(8, 4)),
    )


def vector() -> Tensor:
    return torch.randn(4, 20)


def image() -> Tensor:
    return torch.randn(4, 4, 6, 6)


def sequence() -> Tensor:
    return torch.randn(4, 5, 5)


def tokens() -> Tensor:
    return torch.randint(0, 9, (4, 5))


def wide() -> Tensor:
    return torch.randn(2, 3, 8)


def conv(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.Flatten())


def twice() -> nn.Module:
    return Through(lambda m, x: m.linear(torch.tanh(m.linear(x))), linear=nn.Linear(20, 20))


def functional() -> nn.Module:
    return Through(
        lambda m, x: nn.functional.linear(torch.tanh(m.linear(x)), m.linear.weight.T),
        linear=nn.Linear(20, 16),
    )


def only_functional() -> nn.Module:
    return Through(
        lambda m, x: torch.tanh(nn.functional.linear(x, m.linear.weight)), linear=nn.Linear(20, 16)
    )


def scaled_sum() -> nn.Module:
    return Through(
        lambda m, x: torch.addmm(m.linear.bias, x, m.linear.weight.t(), beta=0.5, alpha=2.0),
        linear=nn.Linear(20, 16),
    )


def plain_matrix() -> nn.Module:
    return Through(
        lambda m, x: torch.addmm(m.scalar, x @ m.matrix, m.square),
        matrix=nn.Parameter(torch.randn(20, 16) / 5),
        square=nn.Parameter(torch.randn(16, 16) / 4),
        scalar=nn.Parameter(torch.randn(1)),  # added to every column
    )


def residual() -> nn.Module:
    return Through(
        lambda m, x: x + m.b(torch.relu_(m.a(x))), a=nn.Linear(20, 16), b=nn.Linear(16, 20)
    )


def checkpointed() -> nn.Module:
    return Through(
        lambda m, x: m.last(checkpoint(m.inner, m.first(x), use_reentrant=False)),
        first=nn.Linear(20, 16),
        inner=nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Dropout(0.2), nn.ReLU()),
        last=nn.Linear(16, 8),
    )


def embedded(rows: int = 9, **options: object) -> nn.Module:
    return Through(
        lambda m, x: m.linear(m.table(x).mean(1)),
        table=nn.Embedding(rows, 6, **options),
        linear=nn.Linear(6, 5),
    )


def unused() -> nn.Module:
    return Through(lambda m, x: m.used(x), used=nn.Linear(20, 6), spare=nn.Linear(3, 3))


def detached() -> nn.Module:
    return Through(
        lambda m, x: m.b(m.a(x).detach()) + m.a(x), a=nn.Linear(20, 6), b=nn.Linear(6, 6)
    )


def leading_dims() -> nn.Module:
    return Through(
        lambda m, x: m.b(torch.tanh(m.a(x.transpose(0, 1))).transpose(0, 1)).mean(1),
        a=nn.Linear(8, 20),
        b=nn.Linear(20, 20, bias=False),
    )


def gated() -> nn.Module:
    return Through(
        lambda m, x: torch.sigmoid(m.gate(x)) * m.value(x) + m.bilinear(x, x),
        gate=nn.Linear(20, 6),
        value=nn.Linear(20, 6),
        bilinear=nn.Bilinear(20, 20, 6),
    )


Case = Callable[[], Heads]

CASES: dict[str, Case] = {
    "mlp": lambda: Heads(mlp(), vector()),
    "mlp one task": lambda: Heads(mlp(), vector(), 1),
    "mlp two tasks": lambda: Heads(mlp(), vector(), 2),
    "mlp 40 tasks": lambda: Heads(mlp(), vector(), 40),
    "mlp large batch": lambda: Heads(mlp(), torch.randn(90, 20)),
    "mlp one row": lambda: Heads(mlp(), torch.randn(1, 20)),
    "inplace activation": lambda: Heads(mlp(inplace=True), vector()),
    "residual": lambda: Heads(residual(), vector()),
    "no bias, leading dimensions": lambda: Heads(leading_dims(), wide()),
    "layer norm": lambda: Heads(nn.Sequential(mlp(), nn.LayerNorm(12)), vector()),
    "batch norm": lambda: Heads(nn.Sequential(mlp(), nn.BatchNorm1d(12)), vector()),
    "group norm": lambda: Heads(conv(nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4), nn.ReLU()), image()),
    "dropout": lambda: Heads(nn.Sequential(mlp(), nn.Dropout(0.5)), vector()),
    "conv1d": lambda: Heads(conv(nn.Conv1d(5, 6, 2), nn.ReLU()), sequence()),
    "conv2d": lambda: Heads(conv(nn.Conv2d(4, 3, 3), nn.ReLU(True), nn.Conv2d(3, 2, 2)), image()),
    "conv3d": lambda: Heads(conv(nn.Conv3d(1, 2, 2)), torch.randn(3, 1, 3, 4, 4)),
    "conv transposed": lambda: Heads(conv(nn.ConvTranspose2d(4, 2, 3)), image()),
    "conv stride": lambda: Heads(conv(nn.Conv2d(4, 3, 3, stride=2, padding=1)), image()),
    "conv grouped": lambda: Heads(conv(nn.Conv2d(4, 8, 3, groups=2)), image()),
    "conv depthwise": lambda: Heads(conv(nn.Conv2d(4, 4, 3, groups=4)), image()),
    "conv dilated": lambda: Heads(conv(nn.Conv2d(4, 3, 2, dilation=2)), image()),
    "conv batch norm": lambda: Heads(conv(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3)), image()),
    "resnet block": lambda: Heads(conv(Block(), Block()), image()),
    "conv then linear": lambda: Heads(
        nn.Sequential(nn.Conv2d(4, 3, 3), nn.Flatten(), nn.Linear(48, 40)), image()
    ),
    "lstm": lambda: Heads(recurrent(nn.LSTM), sequence()),
    "gru": lambda: Heads(recurrent(nn.GRU), sequence()),
    "attention": lambda: Heads(attention(), wide()),
    "transformer encoder": lambda: Heads(encoder(), wide()),
    "embedding": lambda: Heads(embedded(), tokens()),
    "embedding sparse": lambda: Heads(embedded(sparse=True), tokens()),
    "embedding padded": lambda: Heads(embedded(padding_idx=0), tokens()),
    "embedding by frequency": lambda: Heads(embedded(scale_grad_by_freq=True), tokens()),
    "embedding of many rows": lambda: Heads(embedded(30), tokens()),
    "embedding of many rows, sparse": lambda: Heads(embedded(30, sparse=True), tokens()),
    "embedding of many rows, padded": lambda: Heads(embedded(30, padding_idx=3), tokens()),
    "embedding of many rows, clipped": lambda: Heads(embedded(30, max_norm=0.5), tokens()),
    "embedding of many rows, by frequency": lambda: Heads(
        embedded(30, scale_grad_by_freq=True), tokens()
    ),
    "tied weights": lambda: Heads(tied(), vector()),
    "shared bias": lambda: Heads(shared_bias(), vector()),
    "module called twice": lambda: Heads(twice(), vector()),
    "module and function": lambda: Heads(functional(), vector()),
    "function alone": lambda: Heads(only_functional(), vector()),
    "parameters of the trunk's own": lambda: Heads(loose(), vector()),
    "gates and bilinear": lambda: Heads(gated(), vector()),
    "product with a sum of two scales": lambda: Heads(scaled_sum(), vector()),
    "matrix without a transposition": lambda: Heads(plain_matrix(), vector()),
    "parametrized": lambda: Heads(spectral(), vector()),
    "own forward": lambda: Heads(own_forward(), vector()),
    "detached path": lambda: Heads(detached(), vector()),
    "unused layer": lambda: Heads(unused(), vector()),
    "frozen bias": lambda: Heads(frozen_bias(), vector()),
    "frozen weight": lambda: Heads(frozen_weight(), vector()),
    "checkpointed": lambda: Heads(checkpointed(), vector()),
    "tasks skip layers": lambda: SkipsTrunk(mlp(), vector()),
    "own inputs": lambda: OwnInputs(mlp(), vector()),
    "own inputs, called twice": lambda: OwnInputs(twice(), vector()),
    "own inputs, batch norm": lambda: OwnInputs(
        conv(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3)), image()
    ),
    "some inputs shared": lambda: SomeShared(mlp(), vector()),
    "constant loss": lambda: Constant(mlp(), vector()),
    "omitted in turn": lambda: Omitted(mlp(), vector()),
    "dominant task vanishes": lambda: Vanishing(mlp(), vector()),
    "one loss for two tasks": lambda: SameLoss(mlp(), vector()),
    "loss within a loss": lambda: Nested(mlp(), vector()),
    "weight penalty": lambda: WeightPenalty(mlp(), vector()),
    "clipped activation gradients": lambda: ClippedGradients(mlp(), vector()),
    "hook on a weight": lambda: HookedWeight(mlp(), vector()),
    "hook on a weight, own inputs": lambda: HookedWeightOwnInputs(mlp(), vector()),
    "stale forward passes": lambda: StaleForward(mlp(), vector()),
}


def build(name: str, dtype: torch.dtype, seed: int = 0) -> Heads:
    """Build a case; the same seed gives the same weights and data."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return CASES[name]().to(dtype)


def reference_gram(losses: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> Tensor:
    """Gram matrix of the whole by the plain way: one autograd pass a task, float64 products."""
    wanted = [p for p in parameters if p.requires_grad]
    rows = []
    for loss in losses:
        if loss is None or not loss.requires_grad:
            gradients = [None] * len(wanted)
        else:
            gradients = list(
                torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
            )
        rows.append(
            torch.cat(
                [
                    (torch.zeros_like(p) if g is None else g.to_dense()).flatten()
                    for g, p in zip(gradients, wanted, strict=True)
                ]
            ).double()
        )
    jacobian = torch.stack(rows)
    gram = jacobian @ jacobian.T
    omitted = [t for t, loss in enumerate(losses) if loss is None]
    gram[omitted] = gram[:, omitted] = torch.nan
    return gram
