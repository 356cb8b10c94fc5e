"""The comparison with autograd: what it finds, what it costs, what it remembers."""

import pytest
import torch
from torch import Tensor, nn

from trajlab.measure.examples import norms as module
from trajlab.measure.examples.capture import Capture
from trajlab.measure.examples.check import ExampleCheck
from trajlab.measure.examples.norms import sample_norms


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()


def measure(model: nn.Sequential, check: ExampleCheck | None) -> Tensor:
    x = torch.linspace(-1, 1, 40).view(10, 4).double()
    with Capture({"0": model[0], "2": model[2]}) as capture:
        losses = model(x).logsumexp(1)
    calls = {} if check is None else capture.calls
    return sample_norms(losses, dict(model.named_parameters()), calls, check=check)


def wrong_in(layer: nn.Module, factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    right = module.layer_norms

    def formula(call: object, *arguments: object) -> Tensor:
        return right(call, *arguments) * (factor if call.module is layer else 1.0)

    monkeypatch.setattr(module, "layer_norms", formula)


@pytest.mark.parametrize(("factor", "seen"), [(1 + 1e-12, False), (1 + 1e-6, True), (0, True)])
def test_wrong_formula_is_replaced_from_then_on(
    model: nn.Sequential, factor: float, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = measure(model, None)
    wrong_in(model[0], factor, monkeypatch)
    check = ExampleCheck(1)
    for _ in range(2):
        assert torch.allclose(measure(model, check), expected, rtol=1e-10)
        names = {"0.weight", "0.bias"} if seen else set()
        assert check.wrong == check.one_by_one == names
        assert check.passes == 3  # once


def test_formula_that_gives_nan_is_wrong(
    model: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = measure(model, None)
    wrong_in(model[2], torch.nan, monkeypatch)
    check = ExampleCheck()
    assert torch.allclose(measure(model, check), expected, rtol=1e-10)
    assert check.wrong == {"2.weight", "2.bias"}


def test_parameter_that_joins_later_is_checked_then(
    model: nn.Sequential, monkeypatch: pytest.MonkeyPatch
) -> None:
    model[0].requires_grad_(False)
    check = ExampleCheck()
    measure(model, check)
    wrong_in(model[0], 2.0, monkeypatch)
    model[0].requires_grad_(True)
    assert torch.allclose(measure(model, check), measure(model, None), rtol=1e-10)
    assert check.wrong == {"0.weight", "0.bias"}
    assert check.passes == 6


def test_fewer_examples_than_it_would_draw(model: nn.Sequential) -> None:
    check = ExampleCheck(examples=50)
    measure(model, check)
    assert check.passes == 10
