"""Gram matrices of gradients whose squares float32 cannot hold, and of tasks beside a NaN."""

import pytest
import torch
from torch import Tensor, nn

from tests.measure.gram.readable import readable
from tests.models import TwoHeads
from trajlab.measure.gram.task_gram import task_gram
from trajlab.measure.gram.training_gram import TrainingGram


def trunk(width: int) -> nn.Module:
    """Layers that go by kernels, by gradients, and by look-ups' sums."""
    return nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.LayerNorm(64), nn.Linear(64, width))


def losses_of(model: TwoHeads, x: Tensor, factors: tuple[float, float, float]) -> list[Tensor]:
    z = model.trunk(x)
    values = model.left(z).square().mean(), model.right(z).tanh().mean(), z.sin().mean()
    return [value * factor for value, factor in zip(values, factors, strict=True)]


def truth(model: TwoHeads, x: Tensor) -> Tensor:
    exact = TwoHeads(16, trunk).double()
    exact.load_state_dict(model.state_dict())
    parameters = list(exact.trunk.parameters())
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters, retain_graph=True)])
        for loss in losses_of(exact, x.double(), (1.0, 1.0, 1.0))
    ]
    return torch.stack(rows) @ torch.stack(rows).mT


@pytest.mark.parametrize("factor", [1e20, 1e-22])
@readable
def test_losses_of_any_scale_have_their_cosines(factor: float) -> None:
    torch.manual_seed(0)
    model, x = TwoHeads(16, trunk), torch.randn(4, 64)
    shared = {f"trunk.{name}": p for name, p in model.trunk.named_parameters()}
    expected = truth(model, x)
    for factors in ((factor, factor, factor), (factor, 1.0, 1.0)):
        by_scale = torch.tensor(factors, dtype=torch.float64)
        gram = task_gram(losses_of(model, x, factors), shared).gram.sum(0)
        assert_relative(gram / by_scale / by_scale[:, None], expected)
    meter = TrainingGram(model, shared)
    for _ in range(3):
        model.zero_grad()
        losses = losses_of(model, x, (factor, factor, factor))
        watch = meter.start(losses, [1.0] * 3)
        with watch:
            sum(losses).backward()
        assert_relative(watch.sums.result().gram.sum(0) / factor / factor, expected)
    assert watch.derived is not None


def assert_relative(found: Tensor, expected: Tensor) -> None:
    norms = expected.diagonal().sqrt()
    assert ((found - expected) / norms / norms[:, None]).abs().max() < 1e-5


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("task", [0, 1, 2])
@readable
def test_a_task_that_is_no_number_spoils_its_own_row_only(
    bad: float, first: int, task: int
) -> None:
    """From its first bad step on, and after it; `first` 0 is before linearity is known."""
    torch.manual_seed(0)
    model, x = TwoHeads(16, trunk), torch.randn(4, 64)
    shared = {f"trunk.{name}": p for name, p in model.trunk.named_parameters()}
    expected = truth(model, x)
    meter = TrainingGram(model, shared)
    healthy = [t for t in range(3) if t != task]
    for step in range(6):
        model.zero_grad()
        losses = losses_of(model, x, (1.0, 1.0, 1.0))
        is_bad = first <= step < first + 2
        if is_bad:
            losses[task] = losses[task] * bad
        watch = meter.start(losses, [1.0, 2.0, 3.0])
        with watch:
            (losses[0] + 2 * losses[1] + 3 * losses[2]).backward()
        gram = watch.sums.result().gram.sum(0)
        whole = healthy if is_bad else [0, 1, 2]
        assert_relative(gram[whole][:, whole], expected[whole][:, whole])
        if is_bad:
            assert not gram[task].isfinite().any()
    assert watch.derived is not None  # it is as cheap as before again


def test_a_gradient_that_is_no_number_spoils_others_once_at_most() -> None:
    """A finite loss cannot tell; what was to be derived is NaN that once, never another number."""
    torch.manual_seed(0)
    model, x = TwoHeads(16, trunk), torch.randn(4, 64)
    shared = {f"trunk.{name}": p for name, p in model.trunk.named_parameters()}
    expected = truth(model, x)
    meter = TrainingGram(model, shared)
    spoiled = 0
    for step in range(6):
        model.zero_grad()
        losses = losses_of(model, x, (1.0, 1.0, 1.0))
        if step >= 2:
            losses[0] = losses[0] + (model.trunk(x).sum() * 0).sqrt()
        watch = meter.start(losses, [1.0] * 3)
        with watch:
            sum(losses).backward()
        gram = watch.sums.result().gram.sum(0)[1:, 1:]
        if gram.isfinite().all():
            assert_relative(gram, expected[1:, 1:])
        else:
            spoiled += 1
            assert gram.isfinite().any()
    assert spoiled <= 1
