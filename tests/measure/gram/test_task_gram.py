"""Gram matrices of task gradients against float64 autograd."""

import copy
from collections.abc import Callable, Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from tests.models import TwoHeads
from trajlab.measure import group_by_layer
from trajlab.measure.gram.task_gram import task_gram

Losses = Callable[[nn.Module], list[Tensor]]


class ScaledTrunk(nn.Module):
    """Convolutions, and a parameter of the trunk's own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.layers = nn.Sequential(
            nn.Conv2d(1, 3, 3),
            nn.BatchNorm2d(3, track_running_stats=False),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(12, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.layers(x)


def scaled_heads(seed: int) -> TwoHeads:
    return TwoHeads(5, ScaledTrunk, (3, 1), seed)


def shared_of(model: nn.Module) -> dict[str, nn.Parameter]:
    return {n: p for n, p in model.named_parameters() if not n.startswith(("left", "right"))}


def truth(model: nn.Module, losses: Losses) -> Tensor:
    """Gram matrix by layer from the Jacobian of a float64 copy, by another route of torch."""
    model = copy.deepcopy(model).double()
    shared = {n: p.detach() for n, p in shared_of(model).items()}

    class Bound(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self) -> Tensor:
            return torch.stack(losses(self.inner))

    bound = Bound()
    jacobian = jacrev(
        lambda p: functional_call(bound, {f"inner.{n}": v for n, v in p.items()}, ())
    )(shared)
    blocks = []
    for names in group_by_layer(shared).values():
        rows = torch.cat([jacobian[name].reshape(3, -1) for name in names], dim=1)
        blocks.append(rows @ rows.T)
    return torch.stack(blocks)


def batch_losses(seed: int) -> Losses:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(7, 1, 4, 4, generator=generator, dtype=torch.float64)
    y = torch.randint(0, 3, (7,), generator=generator)
    t = torch.randn(7, 1, generator=generator, dtype=torch.float64)

    def losses(model: nn.Module) -> list[Tensor]:
        dtype = model.trunk.scale.dtype
        left, right = model(x.to(dtype))
        return [
            nn.functional.cross_entropy(left, y),
            nn.functional.mse_loss(right, t.to(dtype)),
            left.pow(2).mean() - right.mean(),
        ]

    return losses


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), double=st.booleans())
def test_gram_agrees_with_float64_jacobian(seed: int, double: bool) -> None:
    model = scaled_heads(seed).to(torch.float64 if double else torch.float32)
    losses = batch_losses(seed)
    found = task_gram(losses(model), shared_of(model))
    expected = truth(model, losses)
    assert found.layers == ("trunk", "trunk.layers.0", "trunk.layers.1", "trunk.layers.4")
    assert found.gram.dtype == torch.float64
    scale = expected.sum(0).diagonal().max()
    assert (found.gram - expected).abs().max() < (1e-12 if double else 1e-5) * scale
    cosine = _cosine(found.gram.sum(0))
    assert torch.allclose(cosine, _cosine(expected.sum(0)), atol=1e-10 if double else 1e-4)


def _cosine(gram: Tensor) -> Tensor:
    norms = gram.diagonal().sqrt()
    return gram / norms / norms[:, None]


@settings(max_examples=15, deadline=None)
@given(
    scales=st.lists(st.floats(-100, 100), min_size=3, max_size=3), order=st.permutations(range(3))
)
def test_gram_is_bilinear_and_permutation_equivariant(
    scales: list[float], order: list[int]
) -> None:
    model = scaled_heads(0).double()
    losses = batch_losses(0)(model)
    gram = task_gram(losses, shared_of(model)).gram
    c = torch.tensor(scales, dtype=torch.float64)
    scaled = task_gram([s * loss for s, loss in zip(scales, losses, strict=True)], shared_of(model))
    assert torch.allclose(scaled.gram, gram * c * c[:, None], rtol=1e-9)
    assert torch.equal(scaled.gram, scaled.gram.mT)
    permuted = task_gram([losses[i] for i in order], shared_of(model)).gram
    assert torch.allclose(permuted, gram[:, order][:, :, order], rtol=1e-9)


@pytest.mark.parametrize(("dtype", "promised"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize("tasks", [1, 8])  # pairs, and one product of all
def test_small_coordinates_count_beside_a_large_one(
    dtype: torch.dtype, promised: float, tasks: int
) -> None:
    # 1 + 1e-8 + … : in float32, added one by one, a hundredth of the whole would vanish
    weight = nn.Parameter(torch.zeros(2**20, dtype=dtype))
    gradient = torch.full((2**20,), 1e-4, dtype=dtype)
    gradient[0] = 1.0
    losses = [(weight * gradient).sum() for _ in range(tasks)]
    found = task_gram(losses, {"w.weight": weight}).gram
    expected = 1 + (2**20 - 1) * float(gradient[1]) ** 2
    assert found.flatten().tolist() == pytest.approx([expected] * tasks**2, rel=promised)


def test_omitted_task_is_nan_and_unreached_parameters_are_zero() -> None:
    trunk = nn.Linear(3, 2)
    apart = nn.Linear(3, 2)
    x = torch.randn(4, 3)
    parameters = named({"trunk": trunk, "apart": apart})
    constant = torch.tensor(3.0)
    found = task_gram([trunk(x).sum(), None, (trunk(x) * apart(x)).sum(), constant], parameters)
    assert found.layers == ("trunk", "apart")
    assert found.gram[:, 1].isnan().all()
    assert found.gram[:, :, 1].isnan().all()
    rest = found.gram[:, [0, 2, 3]][:, :, [0, 2, 3]]
    assert not rest.isnan().any()
    assert (rest[1, 0] == 0).all()
    assert rest[1, 1, 1] > 0
    assert (rest[:, 2] == 0).all()


def test_frozen_parameter_counts_as_zero() -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    x = torch.randn(4, 3)
    found = task_gram([layer(x).sum()], named({"layer": layer})).gram
    (gradient,) = torch.autograd.grad(layer(x).sum(), [layer.weight])
    assert found.item() == pytest.approx(gradient.double().pow(2).sum().item())


def test_tied_parameter_counts_once_at_its_first_layer() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 3, bias=False)
            self.second = nn.Linear(3, 3)
            self.second.weight = self.first.weight

    model = Tied()
    x = torch.randn(4, 3)
    losses = [model.second(model.first(x)).pow(2).sum(), model.first(x).sum()]
    parameters = dict(model.named_parameters())
    found = task_gram(losses, parameters)
    assert found.layers == ("first", "second")
    rows = [
        torch.autograd.grad(loss, [model.first.weight], retain_graph=True)[0] for loss in losses
    ]
    expected = torch.stack([row.flatten() for row in rows]).double()
    assert torch.allclose(found.gram[0], expected @ expected.T)


def test_tasks_with_inputs_of_their_own() -> None:
    trunk = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
    x, y = torch.randn(5, 3), torch.randn(8, 3)
    losses = [trunk(x).pow(2).mean(), trunk(y).sum()]
    found = task_gram(losses, named({"trunk": trunk})).gram.sum(0)
    rows = torch.stack(
        [
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(trunk.parameters()))])
            for loss in losses
        ]
    ).double()
    assert torch.allclose(found, rows @ rows.T)


def test_sparse_and_complex_gradients() -> None:
    table = nn.Embedding(6, 2, sparse=True)
    phase = nn.Parameter(torch.randn(3, dtype=torch.complex64))
    index = torch.tensor([1, 1, 4])
    target = torch.randn(3, dtype=torch.complex64)
    losses = [table(index).pow(2).sum() + (phase - target).abs().pow(2).sum()] * 2
    found = task_gram(losses, {"table.weight": table.weight, "phase.weight": phase}).gram
    twice = torch.tensor([0.0, 4.0, 0.0, 0.0, 2.0, 0.0])[:, None] * table.weight.detach()
    assert found[0, 0, 1].item() == pytest.approx(twice.double().pow(2).sum().item(), rel=1e-6)
    expected = (2 * (phase - target)).detach().abs().pow(2).sum().item()
    assert found[1, 0, 1].item() == pytest.approx(expected, rel=1e-6)


def test_graph_stays_usable_and_grad_untouched() -> None:
    layer = nn.Linear(3, 1)
    loss = layer(torch.randn(4, 3)).sum()
    task_gram([loss], named({"layer": layer}))
    assert layer.weight.grad is None
    loss.backward()
    assert layer.weight.grad is not None


def named(modules: Mapping[str, nn.Module]) -> dict[str, nn.Parameter]:
    return dict(nn.ModuleDict(modules).named_parameters())
