"""Gram matrices of gradients whose squares float32 cannot hold, and of tasks beside a NaN."""

import pytest
import torch
from torch import Tensor, nn

from tests.models import TwoHeads
from trajlab.measure.gram.products import inner_products
from trajlab.measure.gram.task_gram import task_gram
from trajlab.measure.gram.training_gram import TrainingGram


@pytest.mark.parametrize("size", [7, 2**14, 2**14 + 1, 2**15 + 3])
@pytest.mark.parametrize("number", [2, 5])
def test_inner_products_keep_the_range_of_the_rows(size: int, number: int) -> None:
    torch.manual_seed(0)
    scales = torch.tensor([1e20, 1e-22, 1.0, 3e-30, 1e30][:number])
    rows = torch.randn(number, size) * scales[:, None]
    found = inner_products(list(rows))
    expected = rows.double() @ rows.double().mT
    norms = expected.diagonal().sqrt()
    assert ((found - expected).abs() / norms / norms[:, None]).max() < 1e-6


@pytest.mark.parametrize("scale", [3.2e-14, 3.1e-14, 9.9e15, 1.1e16])
def test_both_sides_of_the_range_agree(scale: float) -> None:
    """The square of one number, just inside and outside of what needs no scaling."""
    row = torch.tensor([scale])
    assert inner_products([row]).item() == pytest.approx(row.double().square().item(), rel=1e-7)


def test_rows_without_numbers_or_with_no_numbers() -> None:
    rows = [torch.zeros(3), torch.tensor([1.0, torch.nan, 0.0]), torch.full((3,), 1e25)]
    found = inner_products(rows)
    assert found[1].isnan().all()
    assert found[0, 0] == found[0, 2] == 0
    assert found[2, 2].item() == pytest.approx(3e50, rel=1e-6)
    assert inner_products([torch.zeros(0)]).item() == 0


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
