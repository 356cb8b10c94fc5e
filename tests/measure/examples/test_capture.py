"""What is caught in the forward pass."""

import copy
import io

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.utils._pytree import tree_unflatten
from torch.utils.checkpoint import checkpoint

from trajlab.measure.examples.capture import Capture
from trajlab.measure.layers import modules_of


def test_call_holds_the_input_and_the_edge_before_an_inplace_activation() -> None:
    layer = nn.Linear(3, 4)
    x = torch.randn(5, 3)
    with Capture({"layer": layer}) as capture:
        loss = nn.functional.relu(layer(x), inplace=True).pow(2).sum()
    call = capture.calls["layer"]
    assert call.module is layer
    assert torch.equal(call.input, x)
    assert call.shape == (5, 4)
    (b,) = torch.autograd.grad(loss, [call.output], retain_graph=True)
    loss.backward()
    assert torch.allclose(b.T @ x, layer.weight.grad)


def test_latest_call_counts_until_cleared() -> None:
    layer = nn.Linear(3, 4)
    first, second = torch.randn(2, 3), torch.randn(5, 3)
    with Capture({"layer": layer}) as capture:
        layer(first)
        layer(second)
    assert torch.equal(capture.calls["layer"].input, second)
    layer(first)  # closed
    assert torch.equal(capture.calls["layer"].input, second)
    capture.open()
    assert capture.calls == {}
    capture.close()


def test_calls_that_autograd_does_not_follow_are_ignored() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    x = torch.randn(5, 3, requires_grad=True)
    with Capture(modules_of(model, ["0", "1"])) as capture:
        with torch.no_grad():
            model(x)
        checkpoint(model, x, use_reentrant=True)
    assert capture.calls == {}


def test_other_modules_are_left_alone() -> None:
    with Capture({"layer": nn.Linear(3, 4)}) as capture:
        nn.Linear(3, 4)(torch.randn(5, 3))
    assert capture.calls == {}


def test_every_argument_and_output_is_caught() -> None:
    cell = nn.LSTMCell(3, 4)
    x, h, c = torch.randn(5, 3), torch.randn(5, 4, requires_grad=True), torch.randn(5, 4)
    with Capture({"cell": cell}) as capture:
        made = h * 2
        _, state = cell(hx=(made, c), input=x)
    call = capture.calls["cell"]
    positional, keywords = tree_unflatten(list(call.arguments), call.structure)
    assert positional == ()
    assert torch.equal(keywords["hx"][0], made)
    assert keywords["input"].data_ptr() == x.data_ptr()
    assert call.inputs == {made.grad_fn}
    assert [edge.node for edge in call.further] == [state.grad_fn]
    assert call.written() == (False, False)
    x.zero_()
    assert call.written() == (True, False)


def test_model_stays_free_of_hooks_and_can_be_copied() -> None:
    model = nn.Sequential(nn.Linear(3, 4))
    with Capture(modules_of(model, ["0"])) as capture:
        model(torch.randn(5, 3))
        twin = copy.deepcopy(model)
        torch.save(model, io.BytesIO())
        caught = capture.calls["0"]
        twin(torch.randn(2, 3))
    assert capture.calls["0"] is caught
    assert not model[0]._forward_hooks


@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.jacrev])
def test_functional_transforms_do_not_disturb(transform: object) -> None:
    layer = nn.Linear(3, 1)

    def loss(p: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(layer, p, (torch.ones(2, 3),)).sum()

    parameters = {n: p.detach() for n, p in layer.named_parameters()}
    with Capture({"layer": layer}):
        inside = transform(loss)(parameters)  # type: ignore[operator]
    assert torch.equal(inside["weight"], torch.full((1, 3), 2.0))


def test_error_inside_closes() -> None:
    layer = nn.Linear(3, 4)
    capture = Capture({"layer": layer})
    with pytest.raises(KeyError), capture:
        raise KeyError
    layer(torch.randn(5, 3))
    assert capture.calls == {}


def test_no_global_hook_is_left_behind() -> None:
    def registries() -> list[object]:
        names = [name for name in vars(modules) if name.startswith("_global_")]
        return [getattr(modules, name) for name in names if name.endswith("_hooks")]

    layer = nn.Linear(3, 2)
    with Capture({"layer": layer}):
        layer(torch.ones(5, 3))
        assert any(registries())
    assert not any(registries())
