"""What holds inside the guard, and after it."""

from contextlib import suppress

import pytest
import torch
from torch import Tensor, nn

from trajlab.measure import guard, top_eigenvalue


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))


def test_restores_the_same_objects_after_an_exception(model: nn.Sequential) -> None:
    model(torch.randn(5, 3)).sum().backward()
    gradients = [p.grad for p in model.parameters()]
    buffers = list(model.buffers())
    values = [b.clone() for b in buffers]

    def measure() -> None:
        with guard(model):
            assert all(p.grad is None for p in model.parameters())
            model(torch.randn(5, 3)).sum().backward()
            model[1].running_mean = torch.ones(4)
            model[1].register_buffer("another", torch.ones(1))
            model.eval()
            raise KeyError

    with pytest.raises(KeyError):
        measure()
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))
    assert all(a is b for a, b in zip(model.buffers(), buffers, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(buffers, values, strict=True))
    assert all(module.training for module in model.modules())


def test_training_graph_that_saved_a_buffer_stays_good(model: nn.Sequential) -> None:
    model.eval()  # the normalisation now keeps its running statistics for the backward pass
    loss = model(torch.randn(5, 3)).sum()
    with guard(model):
        model.train()
        model(torch.randn(5, 3))
    loss.backward()


def test_shared_buffers_stay_shared_inside(model: nn.Sequential) -> None:
    other = nn.BatchNorm1d(4)
    other.running_mean = model[1].running_mean
    both = nn.ModuleList([model, other])
    with guard(both):
        assert other.running_mean is model[1].running_mean


@pytest.mark.parametrize(
    "mode",
    [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", dtype=torch.bfloat16)],
)
def test_measures_the_same_under_any_mode(model: nn.Sequential, mode: object) -> None:
    model.eval()
    x = torch.randn(5, 3)

    def measure() -> float:
        with guard(model):
            loss = model(x).pow(2).mean()
            return top_eigenvalue(loss, dict(model.named_parameters())).value

    outside = measure()
    with mode():
        assert measure() == outside != 0


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
def test_rows_that_a_forward_pass_clips_come_back_unnoticed(kind: type[nn.Module]) -> None:
    table = kind(5, 3, max_norm=0.1)
    before = table.weight.detach().clone()
    loss = table.weight.square().sum()  # saves the table for its backward pass
    with guard(table):
        table(torch.tensor([[0, 2]]))
        assert not torch.equal(table.weight, before)
    assert torch.equal(table.weight, before)
    loss.backward()
    assert torch.equal(table.weight.grad, 2 * before)


def test_hooks_of_the_user_stay(model: nn.Sequential) -> None:
    calls = []
    handle = model.register_forward_hook(lambda *_: calls.append("mine"))
    with guard(model):
        model.register_forward_hook(lambda *_: calls.append("probe"))
        model[0].register_forward_pre_hook(lambda *_: calls.append("probe"))
    model(torch.randn(5, 3))
    assert calls == ["mine"]
    handle.remove()
    model(torch.randn(5, 3))
    assert calls == ["mine"]


HOOKS = {
    "before": lambda model, call: model.register_forward_pre_hook(call, with_kwargs=True),
    "after": lambda model, call: model.register_forward_hook(call, with_kwargs=True),
    "always": lambda model, call: model.register_forward_hook(call, always_call=True),
    "before backward": lambda model, call: model.register_full_backward_pre_hook(call),
    "backward": lambda model, call: model.register_full_backward_hook(call),
}


@pytest.mark.parametrize("kind", HOOKS)
def test_a_hook_that_was_removed_inside_is_called_after_as_before(kind: str) -> None:
    class Raises(nn.Linear):
        def forward(self, x: Tensor, *, fails: bool = False) -> Tensor:
            if fails:
                raise KeyError
            return super().forward(x)

    model, calls = Raises(2, 1), []
    handle = HOOKS[kind](model, lambda *given: calls.append(len(given)))

    def train() -> list[int]:
        calls.clear()
        model(torch.ones(1, 2, requires_grad=True), fails=False).sum().backward()
        with suppress(KeyError):
            model(torch.ones(1, 2), fails=True)
        return list(calls)

    before = train()
    with guard(model):
        handle.remove()
        assert not train()
    assert train() == before != []
