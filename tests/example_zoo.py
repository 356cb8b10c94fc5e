"""Models and losses that gradients of single examples have to be right on; float64, n = 6."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, embedding
from torch.nn.functional import linear as apply_linear
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint

from tests.zoo import Through

N = 6
Losses = Callable[[nn.Module], Tensor]
Case = Callable[[], tuple[nn.Module, Losses]]


def _each(z: Tensor) -> Tensor:
    """A loss an example, in which every output counts."""
    return z.reshape(N, -1).sin().cumsum(1).square().mean(1)


def _on(module: nn.Module, x: Tensor) -> tuple[nn.Module, Losses]:
    return module, lambda m: _each(m(x))


def _normal(*shape: int) -> Tensor:
    return torch.randn(N, *shape, dtype=torch.float64)


def _tokens(length: int = 4, rows: int = 9) -> Tensor:
    return torch.randint(0, rows, (N, length))


def _layer(make: Callable[[], nn.Module], *shape: int) -> Case:
    return lambda: _on(make(), _normal(*shape))


def _behind(make: Callable[[], nn.Module], *shape: int) -> Case:
    """The layer between two others, so that its input and output have a graph."""

    def case() -> tuple[nn.Module, Losses]:
        first = nn.Linear(shape[-1], shape[-1])
        return _on(nn.Sequential(first, nn.Tanh(), make(), nn.Tanh()), _normal(*shape))

    return case


def _through(
    forward: Callable[[nn.Module, Tensor], Tensor], x: Callable[[], Tensor], **parts: object
) -> Case:
    def case() -> tuple[nn.Module, Losses]:
        made = {name: part() if callable(part) else part for name, part in parts.items()}
        return _on(Through(forward, **made), x())

    return case


def _adaptive(m: nn.Module, x: Tensor) -> Tensor:
    return m(x, torch.arange(N) * 2).output


def linear(inputs: int = 5, outputs: int = 5) -> Callable[[], nn.Module]:
    return lambda: nn.Linear(inputs, outputs)


def weight(*shape: int) -> Callable[[], nn.Parameter]:
    return lambda: nn.Parameter(torch.randn(*shape))


LAYERS: dict[str, Case] = {
    "linear": _behind(linear(), 5),
    "linear without bias": _behind(lambda: nn.Linear(5, 3, bias=False), 5),
    "linear on positions": _behind(linear(5, 40), 3, 5),
    "linear on many positions": _behind(linear(), 30, 5),
    "bilinear": _through(
        lambda m, x: m.b(m.a(x), x.sin()),
        lambda: _normal(5),
        a=linear(),
        b=lambda: nn.Bilinear(5, 5, 3),
    ),
    "conv1d": _layer(lambda: nn.Conv1d(3, 4, 2), 3, 5),
    "conv2d": _layer(lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1, dilation=2), 3, 7, 7),
    "conv2d same": _layer(lambda: nn.Conv2d(3, 4, 3, padding="same"), 3, 4, 4),
    "conv2d reflected": _layer(
        lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), 3, 4, 4
    ),
    "conv2d depthwise": _layer(lambda: nn.Conv2d(4, 4, 3, groups=4), 4, 5, 5),
    "conv3d": _layer(lambda: nn.Conv3d(2, 3, 2), 2, 3, 3, 3),
    "conv transposed 1d": _layer(lambda: nn.ConvTranspose1d(3, 2, 3, 2), 3, 4),
    "conv transposed 2d, size given": _through(
        lambda m, x: m.c(x, output_size=[8, 8]),
        lambda: _normal(2, 4, 4),
        c=lambda: nn.ConvTranspose2d(2, 3, 3, 2, padding=1),
    ),
    "conv transposed 3d": _layer(lambda: nn.ConvTranspose3d(2, 2, 2), 2, 2, 2, 2),
    "layer norm": _behind(lambda: nn.LayerNorm(5), 3, 5),
    "rms norm": _behind(lambda: nn.RMSNorm(5), 3, 5),
    "group norm": _layer(lambda: nn.GroupNorm(2, 4), 4, 3),
    "instance norm": _layer(lambda: nn.InstanceNorm2d(3, affine=True), 3, 4, 4),
    "batch norm 1d": _behind(lambda: nn.BatchNorm1d(5), 5),
    "batch norm 2d, activated in place": _layer(
        lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(inplace=True)), 3, 4, 4
    ),
    "batch norm 3d": _layer(lambda: nn.BatchNorm3d(2), 2, 2, 2, 2),
    "prelu": _behind(lambda: nn.PReLU(5), 5),
    "embedding": lambda: _on(nn.Embedding(9, 3), _tokens()),
    "embedding of one token": lambda: _on(nn.Embedding(9, 3), _tokens()[:, 0]),
    "embedding padded": lambda: _on(nn.Embedding(9, 3, padding_idx=1), _tokens(8)),
    "embedding sparse": lambda: _on(nn.Embedding(9, 3, sparse=True), _tokens()),
    "embedding clipped": lambda: _on(nn.Embedding(9, 3, max_norm=0.5), _tokens()),
    "embedding by frequency": lambda: _on(nn.Embedding(9, 3, scale_grad_by_freq=True), _tokens()),
    "bag": lambda: _on(nn.EmbeddingBag(9, 3, mode="mean"), _tokens()),
    "bag sparse": lambda: _on(nn.EmbeddingBag(9, 3, mode="sum", sparse=True), _tokens()),
    "bag clipped": lambda: _on(nn.EmbeddingBag(9, 3, max_norm=0.5), _tokens()),
    "bag of offsets": _through(
        lambda m, x: m.bag(x.flatten(), torch.arange(N) * 4),
        _tokens,
        bag=lambda: nn.EmbeddingBag(9, 3),
    ),
    "bag of offsets, one token each": _through(
        lambda m, x: m.bag(x[:, 0], torch.arange(N)), _tokens, bag=lambda: nn.EmbeddingBag(9, 3)
    ),
    "bag of weighted tokens": _through(
        lambda m, x: m.bag(x, per_sample_weights=x.double().cos()),
        _tokens,
        bag=lambda: nn.EmbeddingBag(9, 3, mode="sum"),
    ),
    "adaptive softmax": lambda: (
        nn.AdaptiveLogSoftmaxWithLoss(5, 12, [4, 8], div_value=1.0),
        partial(_adaptive, x=_normal(5)),
    ),
    "rnn": _through(
        lambda m, x: m.r(x)[0], lambda: _normal(3, 5), r=lambda: nn.RNN(5, 4, batch_first=True)
    ),
    "lstm of two layers": _through(
        lambda m, x: m.r(x)[1][0].transpose(0, 1),
        lambda: _normal(3, 5),
        r=lambda: nn.LSTM(5, 4, 2, batch_first=True),
    ),
    "lstm with projection": _through(
        lambda m, x: m.r(x)[0],
        lambda: _normal(3, 5),
        r=lambda: nn.LSTM(5, 4, proj_size=2, batch_first=True),
    ),
    "gru with a state": _through(
        lambda m, x: m.r(x, torch.stack([m.a(x[:, 0]).tanh()] * N))[
            0
        ],  # as many layers as examples
        lambda: _normal(3, 5),
        a=linear(5, 4),
        r=lambda: nn.GRU(5, 4, N, batch_first=True),
    ),
    "gru, positions first": _through(
        lambda m, x: m.r(x.transpose(0, 1))[0][-1], lambda: _normal(N, 5), r=lambda: nn.GRU(5, 4)
    ),
    "rnn cell": _through(lambda m, x: m.c(x), lambda: _normal(5), c=lambda: nn.RNNCell(5, 4)),
    "gru cell with a state": _through(
        lambda m, x: m.c(x, m.a(x).tanh()),
        lambda: _normal(5),
        a=linear(5, 4),
        c=lambda: nn.GRUCell(5, 4),
    ),
    "lstm cell with states": _through(
        lambda m, x: m.c(x, hx=(m.a(x).tanh(), x[:, :4]))[0],
        lambda: _normal(5),
        a=linear(5, 4),
        c=lambda: nn.LSTMCell(5, 4),
    ),
    "lstm cell, both states": _through(
        lambda m, x: torch.cat(m.c(x), 1), lambda: _normal(5), c=lambda: nn.LSTMCell(5, 4)
    ),
    "gru cell, step by step": _through(
        lambda m, x: m.c(x[:, 1], m.c(x[:, 0])), lambda: _normal(2, 5), c=lambda: nn.GRUCell(5, 4)
    ),
    "attention": _through(
        lambda m, x: m.a(x, x, x)[0],
        lambda: _normal(3, 4),
        a=lambda: nn.MultiheadAttention(4, 2, batch_first=True),
    ),
    "attention of as many positions, masked": _through(
        lambda m, x: m.a(x, x, x, attn_mask=torch.ones(N, N).triu(1).bool(), is_causal=True)[0],
        lambda: _normal(N, 4),
        a=lambda: nn.MultiheadAttention(4, 2, batch_first=True),
    ),
    "attention, other widths": _through(
        lambda m, x: m.a(x, x[..., :3], x[..., 1:3], need_weights=False)[0],
        lambda: _normal(3, 4),
        a=lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=2, batch_first=True, add_bias_kv=True),
    ),
    "attention, weights used": _through(
        lambda m, x: torch.cat([w.flatten(1) for w in m.a(x, x, x)], 1),
        lambda: _normal(3, 4),
        a=lambda: nn.MultiheadAttention(4, 2, batch_first=True),
    ),
    "attention, positions first": _through(
        lambda m, x: m.a(x.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1))[0].transpose(
            0, 1
        ),
        lambda: _normal(N, 4),
        a=lambda: nn.MultiheadAttention(4, 2),
    ),
    "attention without a batch": _through(
        lambda m, x: m.a(x, x, x)[0], lambda: _normal(4), a=lambda: nn.MultiheadAttention(4, 2)
    ),
    "transformer encoder layer": _layer(
        lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 3, 4
    ),
    "transformer decoder layer": _through(
        lambda m, x: m.d(x, x.cos()),
        lambda: _normal(3, 4),
        d=lambda: nn.TransformerDecoderLayer(4, 2, 8, batch_first=True),
    ),
}


class Scale(nn.Module):
    """x w, times what is optional."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor, c: Tensor | None = None, *, shift: Tensor | float = 0.0) -> Tensor:
        return x * self.w * (1 if c is None else c) + shift


class Centred(nn.Module):
    """Scaled differences from the mean of a group of examples."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.w = nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(0, (self.groups, -1))
        return ((x - x.mean(1, keepdim=True)) * self.w).flatten(0, 1)


def low_rank(m: nn.Module, x: Tensor) -> Tensor:
    return m.base(x) + m.up(m.down(x)) * 0.5


def frozen_linear() -> nn.Module:
    return nn.Linear(5, 5).requires_grad_(False)


def message_passing(m: nn.Module, x: Tensor) -> Tensor:
    source, target = torch.tensor([[0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 1]])
    h = m.a(x).tanh()
    return m.b(h.index_add(0, target, m.message(torch.cat([h[source], h[target]], 1))))


MIXING: dict[str, Case] = {
    "frames of clips in the batch axis": _through(
        lambda m, x: m.b((h := m.a(x).tanh().view(2, 3, 5)).roll(1, 1).add(h).reshape(N, 5)),
        lambda: _normal(5),
        a=linear(),
        b=linear(),
    ),
    "block-diagonal graphs": _through(
        lambda m, x: m.b(torch.block_diag(*[torch.ones(3, 3).double() / 3] * 2) @ m.a(x).tanh()),
        lambda: _normal(5),
        a=linear(),
        b=linear(),
    ),
    "messages along edges": _through(
        message_passing, lambda: _normal(5), a=linear(), b=linear(), message=linear(10, 5)
    ),
    "one pair of examples": _through(
        lambda m, x: m.b(m.a(x).tanh().index_add(0, torch.tensor([4]), m.a(x)[5:].tanh() * 1e-3)),
        lambda: _normal(5),
        a=linear(),
        b=linear(),
    ),
    "statistics of groups": _behind(lambda: Centred(2), 5),
    "statistics of groups, last": _through(
        lambda m, x: m.c(x), lambda: _normal(5), c=lambda: Centred(3)
    ),
    "batch statistics by hand": _through(
        lambda m, x: m.b(batch_norm(m.a(x), None, None, training=True)),
        lambda: _normal(5),
        a=linear(),
        b=linear(),
    ),
    "contrastive": _through(lambda m, x: (z := m.a(x)) @ z.T, lambda: _normal(5), a=linear()),
    "sequence first": _through(
        lambda m, x: m.b(m.a(x.transpose(0, 1)).tanh()).transpose(0, 1),
        lambda: _normal(N, 5),  # as many positions as examples
        a=linear(),
        b=linear(),
    ),
    "positions as layers' batch": _through(
        lambda m, x: m.a(x.flatten(0, 1)).view(N, 3, 5), lambda: _normal(3, 5), a=linear()
    ),
    "examples reversed": _through(lambda m, x: m.a(x).flip(0), lambda: _normal(5), a=linear()),
}

ARGUMENTS: dict[str, Case] = {
    "optional tensor": _through(
        lambda m, x: m.s(m.a(x), x), lambda: _normal(5), a=linear(), s=Scale
    ),
    "keyword tensor": _through(
        lambda m, x: m.s(m.a(x), shift=x, c=x.cos()), lambda: _normal(5), a=linear(), s=Scale
    ),
    "keyword tensor of all examples": _through(
        lambda m, x: m.s(m.a(x), shift=x.mean(0)), lambda: _normal(5), a=linear(), s=Scale
    ),
    "tensor that looks like the examples'": _through(
        lambda m, x: m.s(x.unsqueeze(1), x).sum(1), lambda: _normal(5), s=Scale
    ),
    "only keywords": _through(lambda m, x: m.a(input=x), lambda: _normal(5), a=linear()),
    "parameters used twice in a layer": _through(
        lambda m, x: m.s(m.s.w.tanh() * x), lambda: _normal(5), s=Scale
    ),
    "parameter of the model's own": _through(
        lambda m, x: m.a(x + m.w), lambda: _normal(5), a=linear(), w=weight(5)
    ),
    "unused and frozen": _through(
        lambda m, x: m.base(m.a(x)),
        lambda: _normal(5),
        a=linear(),
        base=frozen_linear,
        spare=linear(),
    ),
}


def _hooked(hook: Callable[[nn.Module], object]) -> Case:
    def case() -> tuple[nn.Module, Losses]:
        model = nn.Sequential(nn.Embedding(9, 5), nn.LayerNorm(5), nn.Linear(5, 5), Scale())
        hook(model)
        return _on(model, _tokens())

    return case


def _weight_hook(model: nn.Module) -> None:
    model[2].weight.register_hook(lambda g: g.clamp(-0.01, 0.01))


def _own_forward(model: nn.Module) -> None:
    model[2].forward = lambda x: apply_linear(x, 2 * model[2].weight, model[2].bias)


HOOKS: dict[str, Case] = {
    "hook that doubles the output": _hooked(
        lambda m: m[1].register_forward_hook(lambda module, x, z: 2 * z)
    ),
    "hook that writes the output": _hooked(
        lambda m: m[3].register_forward_hook(lambda module, x, z: z.mul_(2))
    ),
    "hook that asks for gradients": _hooked(
        lambda m: m[0].register_forward_hook(lambda module, x, z: z.requires_grad_(True))
    ),
    "hook that reads a number": _hooked(
        lambda m: m[1].register_forward_hook(lambda module, x, z: z.abs().max().item() and None)
    ),
    "hook that changes the input": _hooked(
        lambda m: m[1].register_forward_pre_hook(lambda module, x: (x[0].sin(),))
    ),
    "hook on the backward pass": _hooked(
        lambda m: m[1].register_full_backward_hook(lambda module, i, o: (i[0] * 3,))
    ),
    "hook before the backward pass": _hooked(
        lambda m: m[1].register_full_backward_pre_hook(lambda module, o: (o[0] * 3,))
    ),
    "hook on a weight": _hooked(_weight_hook),
    "forward of its own": _hooked(_own_forward),
    "weight norm by a hook": _hooked(
        lambda m: m.__setitem__(
            2,
            nn.Sequential(nn.Linear(5, 5), nn.utils.parametrizations.weight_norm(nn.Linear(5, 5))),
        )
    ),
    "spectral norm by a hook": _hooked(lambda m: nn.utils.spectral_norm(m[2])),
    "pruned": _hooked(lambda m: prune.random_unstructured(m[2], "weight", 0.5)),
}

SHARED: dict[str, Case] = {
    "layer called twice": _through(lambda m, x: m.a(m.a(x).tanh()), lambda: _normal(5), a=linear()),
    "layer called twice, beside": _through(
        lambda m, x: m.a(x) * m.a(x.cos()), lambda: _normal(5), a=linear()
    ),
    "tied to a function": _through(
        lambda m, x: m.a(x).tanh() @ m.a.weight, lambda: _normal(5), a=linear()
    ),
    "tied embedding": _through(
        lambda m, x: m.e(x).mean(1) @ m.e.weight.T, _tokens, e=lambda: nn.Embedding(9, 3)
    ),
    "adapter": _through(
        low_rank, lambda: _normal(5), base=frozen_linear, down=linear(5, 2), up=linear(2, 5)
    ),
    "checkpointed": _through(
        lambda m, x: m.b(checkpoint(m.a, x, use_reentrant=False).tanh()),
        lambda: _normal(5),
        a=lambda: nn.Sequential(nn.Linear(5, 5), nn.LayerNorm(5), Scale()),
        b=linear(),
    ),
    "detached beside": _through(
        lambda m, x: m.b(m.a(x).detach()) + m.a(x), lambda: _normal(5), a=linear(), b=linear()
    ),
}


def _network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, 1))


def _slope(m: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    x = x.clone().requires_grad_()
    u = m(x)
    (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    return x, u, slope


def _forces(m: nn.Module, x: Tensor) -> Tensor:
    return (_slope(m, x)[2] + x.cos()).square().sum(1)


def _energy_and_forces(m: nn.Module, x: Tensor) -> Tensor:
    _, u, slope = _slope(m, x)
    return u[:, 0].square() + slope.square().sum(1)


def _penalty(m: nn.Module, x: Tensor) -> Tensor:
    return m(x)[:, 0] + (_slope(m, x)[2].norm(dim=1) - 1) ** 2


def _residual(m: nn.Module, x: Tensor) -> Tensor:
    x, u, slope = _slope(m, x)
    (second,) = torch.autograd.grad(slope[:, 0].sum(), x, create_graph=True)
    return (slope[:, 1] + u[:, 0] * slope[:, 0] - 0.1 * second[:, 0]) ** 2


def _inner_step(m: nn.Module, x: Tensor) -> Tensor:
    """The loss after a step on the first weight, as in meta-learning."""
    loss = m(x).square().mean()
    (slope,) = torch.autograd.grad(loss, m[0].weight, create_graph=True)
    moved = apply_linear(x, m[0].weight - 0.1 * slope, m[0].bias)
    return m[1:](moved)[:, 0].square()


def _with(losses: Callable[[nn.Module, Tensor], Tensor]) -> Case:
    return lambda: (_network(), partial(losses, x=_normal(3)))


GRADIENTS: dict[str, Case] = {
    "forces": _with(_forces),
    "energy and forces": _with(_energy_and_forces),
    "gradient penalty": _with(_penalty),
    "residual of a differential equation": _with(_residual),
    "step within the loss": _with(_inner_step),
}


def _lazy(make: Callable[[], nn.Module], *shape: int) -> Case:
    """A lazy layer, made by a first batch before training."""

    def case() -> tuple[nn.Module, Losses]:
        module, x = make().double(), _normal(*shape)
        module(x)
        return _on(module, x)

    return case


def _sequences(m: nn.Module, x: Tensor) -> Tensor:
    return m.t(x, x.cos())


LAYERS |= {
    "instance norm 1d": _layer(lambda: nn.InstanceNorm1d(3, affine=True), 3, 5),
    "instance norm 3d": _layer(lambda: nn.InstanceNorm3d(2, affine=True), 2, 2, 2, 3),
    "batch norm of several devices": _layer(lambda: nn.SyncBatchNorm(3), 3, 4),
    "lazy linear": _lazy(lambda: nn.LazyLinear(3), 5),
    "lazy conv1d": _lazy(lambda: nn.LazyConv1d(3, 2), 2, 4),
    "lazy conv2d": _lazy(lambda: nn.LazyConv2d(3, 2), 2, 4, 4),
    "lazy conv3d": _lazy(lambda: nn.LazyConv3d(2, 2), 2, 3, 3, 3),
    "lazy conv transposed 1d": _lazy(lambda: nn.LazyConvTranspose1d(3, 2), 2, 4),
    "lazy conv transposed 2d": _lazy(lambda: nn.LazyConvTranspose2d(3, 2), 2, 3, 3),
    "lazy conv transposed 3d": _lazy(lambda: nn.LazyConvTranspose3d(2, 2), 2, 2, 2, 2),
    "lazy batch norm 1d": _lazy(nn.LazyBatchNorm1d, 3, 4),
    "lazy batch norm 2d": _lazy(nn.LazyBatchNorm2d, 3, 2, 2),
    "lazy batch norm 3d": _lazy(nn.LazyBatchNorm3d, 2, 2, 2, 2),
    "lazy instance norm 1d": _lazy(lambda: nn.LazyInstanceNorm1d(affine=True), 3, 4),
    "lazy instance norm 2d": _lazy(lambda: nn.LazyInstanceNorm2d(affine=True), 3, 2, 3),
    "lazy instance norm 3d": _lazy(lambda: nn.LazyInstanceNorm3d(affine=True), 2, 2, 2, 3),
    "linear cross entropy": _through(
        lambda m, x: m.c(m.a(x), torch.arange(N) % 3),
        lambda: _normal(5),
        a=linear(),
        c=lambda: nn.LinearCrossEntropyLoss(5, 3, reduction="none"),
    ),
    "transformer": _through(
        _sequences,
        lambda: _normal(3, 4),
        t=lambda: nn.Transformer(4, 2, 1, 1, 8, batch_first=True),
    ),
    "transformer encoder": _layer(
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2),
        3,
        4,
    ),
    "transformer decoder": _through(
        _sequences,
        lambda: _normal(3, 4),
        t=lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, batch_first=True), 1),
    ),
    "parameters in a list and a dictionary": _through(
        lambda m, x: x * m.list[0] + m.named["shift"] * x.sin(),
        lambda: _normal(5),
        list=lambda: nn.ParameterList([torch.randn(5)]),
        named=lambda: nn.ParameterDict({"shift": torch.randn(5)}),
    ),
}


def _hypernetwork(m: nn.Module, x: Tensor) -> Tensor:
    """Each example's weights come from itself."""
    weights = m.made(x).unflatten(1, (3, 5))
    return torch.einsum("noi,ni->no", weights, m.a(x).tanh())


def _weights_of_all(m: nn.Module, x: Tensor) -> Tensor:
    """One set of weights, from a learned embedding of the task."""
    return apply_linear(m.a(x).tanh(), m.made(m.task).view(3, 5))


def _einsum_attention(m: nn.Module, x: Tensor) -> Tensor:
    """Query and key of one projection."""
    q = m.project(x)
    scores = torch.einsum("nid,njd->nij", q, m.project(x.cos())).softmax(-1)
    return torch.einsum("nij,njd->nid", scores, m.values(x))


def _by_vmap(m: nn.Module, x: Tensor) -> Tensor:
    return torch.vmap(lambda one: m.b(m.a(one).tanh()))(x)


def _by_jvp(m: nn.Module, x: Tensor) -> Tensor:
    return torch.func.jvp(lambda at: m.b(m.a(at).tanh()), (x,), (x.cos(),))[1]


def _by_functional_call(m: nn.Module, x: Tensor) -> Tensor:
    doubled = {name: 2 * p for name, p in m.a.named_parameters()}
    return m.a(x).tanh() + torch.func.functional_call(m.a, doubled, (x.cos(),))


def _checkpoint_in_slope(m: nn.Module, x: Tensor) -> Tensor:
    """Forces through a network of which a part is computed again."""
    x = x.clone().requires_grad_()
    energy = m[2:](checkpoint(m[:2], x, use_reentrant=False))
    (slope,) = torch.autograd.grad(energy.sum(), x, create_graph=True)
    return slope.square().sum(1)


def _in_batch_axis(m: nn.Module, x: Tensor) -> Tensor:
    """Statistics of three examples: the batch is taken for channels."""
    z = m.a(x)
    return z + m.norm(z.unsqueeze(0)).squeeze(0)


class Spectral(nn.Module):
    """A complex weight on each frequency."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(4, dtype=torch.complex128))

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.irfft(torch.fft.rfft(x) * self.w, n=x.shape[-1])


def _scaling_hook(m: nn.Module, x: Tensor) -> Tensor:
    """A hook on an activation that scales its gradient, as in gradient reversal."""
    z = m.a(x).tanh()
    z.register_hook(lambda g: -0.5 * g)
    return m.b(z)


def _ragged(m: nn.Module, x: Tensor) -> Tensor:
    packed = nn.utils.rnn.pack_padded_sequence(x, [5, 4, 4, 3, 2, 1], batch_first=True)
    return nn.utils.rnn.pad_packed_sequence(m.r(packed)[0], batch_first=True)[0]


def _two(m: nn.Module, x: Tensor) -> Tensor:
    z = m.a(x).tanh()
    return m.b(z) * m.c(m.a(x.flip(1)).tanh())


ATTACKS: dict[str, Case] = {
    "weights of each example": _through(
        _hypernetwork, lambda: _normal(5), a=linear(), made=linear(5, 15)
    ),
    "weights from a network": _through(
        _weights_of_all, lambda: _normal(5), a=linear(), made=linear(4, 15), task=weight(4)
    ),
    "attention by einsum, one projection twice": _through(
        _einsum_attention, lambda: _normal(3, 5), project=linear(), values=linear()
    ),
    "vmap": _through(_by_vmap, lambda: _normal(5), a=linear(), b=linear()),
    "jvp": _through(_by_jvp, lambda: _normal(5), a=linear(), b=linear()),
    "functional call beside": _through(_by_functional_call, lambda: _normal(5), a=linear()),
    "forces through a checkpoint": _with(_checkpoint_in_slope),
    "group norm over examples": _through(
        _in_batch_axis, lambda: _normal(5), a=linear(), norm=lambda: nn.GroupNorm(2, 6)
    ),
    "instance norm across the batch": _through(
        lambda m, x: m.b(m.norm(m.a(x).T.unsqueeze(0)).squeeze(0).T),
        lambda: _normal(5),
        a=linear(),
        b=linear(),
        norm=lambda: nn.InstanceNorm1d(5, affine=True),
    ),
    "complex weights": _through(
        lambda m, x: m.s(m.a(x)), lambda: _normal(6), a=linear(6, 6), s=Spectral
    ),
    "hook on an activation's gradient": _through(
        _scaling_hook, lambda: _normal(5), a=linear(), b=linear()
    ),
    "sequences of several lengths": _through(
        _ragged, lambda: _normal(5, 4), r=lambda: nn.LSTM(4, 3, batch_first=True)
    ),
    "layer called twice, two heads": _through(
        _two, lambda: _normal(5), a=linear(), b=linear(), c=linear()
    ),
    "embedding clipped and sparse": lambda: _on(
        nn.Embedding(9, 3, max_norm=0.5, sparse=True), _tokens()
    ),
    "embedding by function": _through(
        lambda m, x: embedding(x, m.w).cumsum(1), _tokens, w=weight(9, 3)
    ),
    "one example chooses another": _through(
        lambda m, x: m.a(x) + m.b(x)[m.b(x)[:, 0].argsort()],
        lambda: _normal(5),
        a=linear(),
        b=linear(),
    ),
    "largest of the batch": _through(
        lambda m, x: m.a(x) / m.b(x).abs().max(), lambda: _normal(5), a=linear(), b=linear()
    ),
    "detached statistics of the batch": _through(
        lambda m, x: m.b((z := m.a(x)) - z.mean(0).detach()),
        lambda: _normal(5),
        a=linear(),
        b=linear(),
    ),
}

if not hasattr(nn, "LinearCrossEntropyLoss"):  # torch 2.10 has none
    del LAYERS["linear cross entropy"]

CASES: dict[str, Case] = LAYERS | MIXING | ARGUMENTS | HOOKS | SHARED | GRADIENTS | ATTACKS


def build(name: str, seed: int = 0) -> tuple[nn.Module, Losses]:
    """Build a case in float64 and evaluation mode; the same seed gives the same numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model, losses = CASES[name]()
        return model.double().eval(), losses


def squared_norms(losses: Tensor, model: nn.Module) -> Tensor:
    """Differentiate one example after the other."""
    wanted = [p for p in model.parameters() if p.requires_grad]
    rows = [
        torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True) for loss in losses
    ]
    return torch.stack(
        [
            torch.stack([g.to_dense().abs().square().sum() for g in row if g is not None]).sum()
            for row in rows
        ]
    )
