"""Gradients of single examples on every architecture of the zoo, with and without the check."""

import pytest
import torch

from tests.example_zoo import ARGUMENTS, CASES, LAYERS, build, squared_norms
from trajlab.measure.examples.capture import Capture
from trajlab.measure.examples.check import ExampleCheck
from trajlab.measure.examples.norms import sample_norms
from trajlab.measure.layers import group_by_layer, modules_of


@pytest.mark.filterwarnings("ignore:dropout option adds dropout")
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
    "lstm cell with states",
    "lstm cell, both states",
    "lstm of two layers",
    "lstm with projection",
    "parameter of the model's own",
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
    assert slow == ONE_BY_ONE
