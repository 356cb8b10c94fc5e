"""Gradients of single examples on every architecture of the zoo, with and without the check."""

import inspect
import re

import pytest
import torch
from torch import nn

from tests.example_zoo import ARGUMENTS, CASES, LAYERS, build, squared_norms
from trajlab.measure.examples.capture import Capture
from trajlab.measure.examples.check import ExampleCheck
from trajlab.measure.examples.norms import sample_norms
from trajlab.measure.layers import group_by_layer, modules_of


@pytest.mark.filterwarnings("ignore:dropout option adds dropout")
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # within torch.func.jvp
@pytest.mark.parametrize("name", CASES)
def test_squared_norms_are_exact(name: str) -> None:
    model, losses_of = build(name)
    parameters = dict(model.named_parameters())
    with Capture(modules_of(model, group_by_layer(parameters))) as capture:
        losses = losses_of(model)
    exact = squared_norms(losses, model)
    check = ExampleCheck()
    assert torch.allclose(
        sample_norms(losses, parameters, capture.calls, check=check), exact, rtol=1e-10, atol=0
    )
    assert not check.wrong  # nothing is left for the check to find
    assert torch.allclose(
        sample_norms(losses, parameters, capture.calls), exact, rtol=1e-10, atol=0
    )


# a sequence or a batch without its axis first, two outputs in use, or operations without vmap
ONE_BY_ONE = {
    "adaptive softmax",
    "attention without a batch",
    "attention, positions first",
    "attention, weights used",
    "bag clipped",
    "bag of offsets",
    "bag of offsets, one token each",
    "bag sparse",
    "embedding by frequency",
    "gru cell, step by step",
    "gru with a state",
    "gru, positions first",
    "linear cross entropy",
    "lstm cell with states",
    "lstm cell, both states",
    "lstm of two layers",
    "lstm with projection",
    "parameter of the model's own",
    "parameters in a list and a dictionary",
    "parameters used twice in a layer",
    "rnn",
    "rnn cell",
    "tensor that looks like the examples'",
}


def test_zoo_is_large() -> None:
    assert len(CASES) >= 60


def test_all_other_layers_need_no_pass_an_example() -> None:
    slow = set()
    for name in LAYERS | ARGUMENTS:
        model, losses_of = build(name)
        parameters = dict(model.named_parameters())
        with Capture(modules_of(model, group_by_layer(parameters))) as capture:
            losses = losses_of(model)
        check = ExampleCheck()
        sample_norms(losses, parameters, capture.calls, check=check)
        if check.one_by_one:
            slow.add(name)
    assert slow == ONE_BY_ONE & (LAYERS | ARGUMENTS).keys()


def test_no_layer_of_torch_with_parameters_is_missing() -> None:
    """A layer has parameters if its source, or that of what it is derived from, makes some."""
    made = re.compile(r"Parameter\(|Linear\(|Layer\(")
    modules = [kind for kind in vars(nn).values() if isinstance(kind, type)]
    with_parameters = {
        kind
        for kind in modules
        if issubclass(kind, nn.Module) and not issubclass(kind, nn.Container)
        if any(made.search(inspect.getsource(b)) for b in kind.__mro__[:-1] if b is not nn.Module)
    }
    bases = {nn.RNNBase, nn.RNNCellBase, nn.Unflatten}  # the last one's docstring shows a layer
    lazy = {kind for kind in with_parameters if kind.__name__.startswith("Lazy")}
    kinds = {type(module) for name in CASES for module in build(name)[0].modules()}
    assert len(lazy) == 13
    assert {kind.__name__ for kind in with_parameters - bases - lazy - kinds} == set()
    assert {f"lazy {kind.cls_to_become.__name__}" for kind in lazy if kind.cls_to_become in kinds}
