"""Layers run again for single examples: with all they were given, and only where that is right."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trajlab.measure.examples import formulas
from trajlab.measure.examples.capture import Capture
from trajlab.measure.examples.check import ExampleCheck
from trajlab.measure.examples.norms import sample_norms

N = 5


@pytest.mark.parametrize("case", ["padding", "mask", "mask a head", "weights unused", "weights"])
def test_attention_with_masks_and_weights(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, batch_first=True).double()
    query, other = torch.randn(2, N, N, 8).double()
    padding = torch.zeros(N, N).double()
    padding[:3, 2:] = -torch.inf
    options = {
        "padding": {"key_padding_mask": padding, "need_weights": False},
        "mask": {"attn_mask": torch.randn(N, N).double(), "need_weights": False},
        "mask a head": {"attn_mask": torch.randn(2 * N, N, N).double(), "need_weights": False},
    }.get(case, {})
    parameters = {f"a.{name}": p for name, p in layer.named_parameters()}
    size = sum(p.numel() for p in parameters.values())
    monkeypatch.setattr(formulas, "_ELEMENTS", 2 * size)
    with Capture({"a": layer}) as capture:
        output, weights = layer(query, other, other, **options)
    losses = output.sin().sum((1, 2))
    if case == "weights":
        losses = losses + weights.pow(2).sum((1, 2))
    check = ExampleCheck()
    found = sample_norms(losses, parameters, capture.calls, check=check)
    assert check.one_by_one == (set(parameters) if case == "weights" else set())
    assert torch.allclose(found, sample_norms(losses, parameters), rtol=1e-12)


class Scale(nn.Module):
    """x w, and what a case does beside."""

    def __init__(self, beside: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(3, dtype=torch.float64))
        self.beside = beside

    def forward(self, x: Tensor) -> Tensor:
        return self.beside(x) * self.w


BESIDE: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "nothing": (lambda x: x, True),
    "mean of the batch": (lambda x: x - x.mean(0), False),
    "mean of a group": (lambda x: x - x.view(2, 3, 3).mean(1).repeat_interleave(3, 0), False),
    "neighbour": (lambda x: x + x.roll(1, 0), False),
    "random": (lambda x: x * torch.rand_like(x), False),
    "writes its argument": (lambda x: x.mul_(2), False),
    "asks for a number": (lambda x: x * x.abs().max().item(), False),
    "square": (torch.square, True),
}


@pytest.mark.parametrize("case", BESIDE)
def test_own_layers_are_run_again_only_if_that_gives_what_they_gave(case: str) -> None:
    torch.manual_seed(0)
    beside, by_formula = BESIDE[case]
    layer = Scale(beside)
    x = torch.randn(6, 3).double()
    with Capture({"layer": layer}) as capture:
        losses = layer(x).sin().sum(1)
    parameters = {"layer.w": layer.w}
    check = ExampleCheck()
    found = sample_norms(losses, parameters, capture.calls, check=check)
    assert torch.allclose(found, sample_norms(losses, parameters), rtol=1e-12)
    assert bool(check.one_by_one) != by_formula
    assert not check.wrong  # seen before the check


def test_argument_that_was_written_since_is_not_used() -> None:
    layer = Scale(lambda x: x.clone())
    x = torch.randn(6, 3).double()
    with Capture({"layer": layer}) as capture:
        losses = layer(x).sin().sum(1)
    expected = sample_norms(losses, {"layer.w": layer.w})
    x.mul_(3)
    found = sample_norms(losses, {"layer.w": layer.w}, capture.calls)
    assert torch.allclose(found, expected, rtol=1e-12)
