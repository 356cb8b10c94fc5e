"""Training whose graph changes between two measurements, against one autograd pass a task.

Whatever is known from one step, of hooks, structure or linearity, must not be taken for true of the
next one. Every case trains twice, measured and not, and both must end with the same bits.
"""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.utils.checkpoint import checkpoint

from tests.measure.gram.readable import readable
from tests.zoo import reference_gram
from trajlab.measure import guard
from trajlab.measure.gram.training_gram import TrainingGram
from trajlab.measure.sums.sketch import Sketch
from trajlab.measure.training_sketch import SketchSums

STEPS = 12
Between = Callable[["Changing", int, Tensor], Tensor]


class Changing(nn.Module):
    """Two layers, something between them that the step decides, and three heads."""

    def __init__(
        self, between: Between, tasks: Callable[[int], list[int]], rows: list[int]
    ) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 5)
        self.spare = nn.Linear(8, 8)
        self.dropout = nn.Dropout(0.5)
        self.heads = nn.ModuleList(nn.Linear(5, 2) for _ in range(3))
        self.between, self.tasks, self.rows = between, tasks, rows
        self.level = 1e9

    def losses(self, step: int) -> list[Tensor | None]:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(self.rows[step % len(self.rows)], 6, generator=generator).double()
        z = self.second(self.between(self, step, self.first(x)))
        every = [(t + 1) * head(z).pow(2).mean() for t, head in enumerate(self.heads)]
        return [loss if t in self.tasks(step) else None for t, loss in enumerate(every)]

    def shared(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.named_parameters() if "heads" not in n}


def clipped(gradient: Tensor) -> Tensor:
    return gradient.clamp(-1e-3, 1e-3)


def drawing(saved: Tensor) -> Tensor:
    torch.rand(1)
    return saved


class Clip(torch.autograd.Function):
    """The identity, whose backward clips at a level that its model sets."""

    @staticmethod
    def forward(ctx: object, x: Tensor, model: Changing) -> Tensor:
        ctx.model = model
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        level = ctx.model.level
        return gradient.clamp(-level, level), None


def steady(model: Changing, step: int, h: Tensor) -> Tensor:
    return torch.tanh(h)


def other_structure(model: Changing, step: int, h: Tensor) -> Tensor:
    return torch.tanh(model.spare(torch.tanh(h)) if step >= 7 else h)


def one_other_node(model: Changing, step: int, h: Tensor) -> Tensor:
    return torch.sigmoid(h) if step >= 7 else torch.tanh(h)


def same_nodes_used_otherwise(model: Changing, step: int, h: Tensor) -> Tensor:
    return torch.addmm(model.spare.bias, torch.tanh(h), model.spare.weight.t(), alpha=1 + step // 7)


def weight_used_again(model: Changing, step: int, h: Tensor) -> Tensor:
    return torch.tanh(h) * (1 + model.second.weight.sum(0) if step >= 7 else 1)


def hook_on_an_activation(model: Changing, step: int, h: Tensor) -> Tensor:
    h = torch.tanh(h)
    if step >= 9:
        h.register_hook(clipped)
    return h


def hook_before_a_node(model: Changing, step: int, h: Tensor) -> Tensor:
    h = torch.tanh(h)
    if step >= 9:
        h.grad_fn.register_prehook(lambda passed: tuple(clipped(g) for g in passed))
    return h


def hook_after_a_node(model: Changing, step: int, h: Tensor) -> Tensor:
    h = torch.tanh(h)
    if step >= 9:
        h.grad_fn.register_hook(lambda passed, _: tuple(clipped(g) for g in passed))
    return h


def hook_on_a_module(model: Changing, step: int, h: Tensor) -> Tensor:
    if step == 9:
        model.second.register_full_backward_hook(lambda _, passed, __: (clipped(passed[0]),))
    return torch.tanh(h)


def hook_on_a_weight(model: Changing, step: int, h: Tensor) -> Tensor:
    if step == 9:
        model.first.weight.register_hook(clipped)
    return torch.tanh(h)


def hook_on_a_weight_that_wakes(model: Changing, step: int, h: Tensor) -> Tensor:
    if step == 0:
        model.first.weight.register_hook(lambda g: g.clamp(-model.level, model.level))
    model.level = 1e9 if step < 9 else 1e-3
    return torch.tanh(h)


def hook_on_a_leaf_node_that_wakes(model: Changing, step: int, h: Tensor) -> Tensor:
    model.level = 1e9 if step < 9 else 1e-3
    if step == 0:
        model.node = get_gradient_edge(model.spare.weight).node
        clip = lambda g: g.clamp(-model.level, model.level)  # noqa: E731
        model.node.register_prehook(lambda passed: tuple(clip(g) for g in passed))
    return torch.tanh(model.spare(h) + torch.tanh(model.spare(h)))  # used twice: by its gradients


def hook_that_draws(model: Changing, step: int, h: Tensor) -> Tensor:
    h = torch.tanh(h)
    if step >= 9:
        h.register_hook(lambda g: torch.rand(1) and None)
    return model.dropout(h)


def function_that_wakes(model: Changing, step: int, h: Tensor) -> Tensor:
    model.level = 1e9 if step < 9 else 1e-3
    return Clip.apply(torch.tanh(h), model)


def saved_elsewhere(model: Changing, step: int, h: Tensor) -> Tensor:
    if step < 9:
        return torch.tanh(h)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.clone(), drawing):
        return torch.tanh(h)


def checkpointed(model: Changing, step: int, h: Tensor) -> Tensor:
    inner = lambda h: model.dropout(torch.tanh(model.spare(h)))  # noqa: E731
    return inner(h) if step < 9 else checkpoint(inner, h, use_reentrant=False)


def dropout_switched(model: Changing, step: int, h: Tensor) -> Tensor:
    model.dropout.train(step % 4 > 1)
    return model.dropout(torch.tanh(h))


def freezes(model: Changing, step: int, h: Tensor) -> Tensor:
    model.first.weight.requires_grad_(not 5 <= step < 8)
    return torch.tanh(h)


def all_tasks(step: int) -> list[int]:
    return [0, 1, 2]


CASES: dict[str, tuple[Between, Callable[[int], list[int]], list[int]]] = {
    function.__name__.replace("_", " "): (function, all_tasks, [3])
    for function in (
        steady,
        other_structure,
        one_other_node,
        same_nodes_used_otherwise,
        weight_used_again,
        hook_on_an_activation,
        hook_before_a_node,
        hook_after_a_node,
        hook_on_a_module,
        hook_on_a_weight,
        hook_on_a_weight_that_wakes,
        hook_on_a_leaf_node_that_wakes,
        hook_that_draws,
        function_that_wakes,
        saved_elsewhere,
        checkpointed,
        dropout_switched,
        freezes,
    )
} | {
    "batch sizes change": (steady, all_tasks, [3, 3, 1, 40, 3]),
    "a task is skipped": (steady, lambda step: [0, 1] if step == 6 else [0, 1, 2], [3]),
    "tasks in turn": (steady, lambda step: [step % 3, (step + 1) % 3], [3]),
}


def built(name: str) -> tuple[Changing, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = Changing(*CASES[name]).double()
    return model, torch.optim.SGD(model.parameters(), 0.1)


def weighted(losses: list[Tensor | None], weights: list[float]) -> Tensor:
    return sum(w * loss for w, loss in zip(weights, losses, strict=True) if loss is not None)


@pytest.mark.parametrize(("every", "weights"), [(1, [1.0, 1.0, 1.0]), (3, [1.0, 0.5, 2.0])])
@pytest.mark.parametrize("name", CASES)
def test_each_step_is_measured_as_it_is(name: str, every: int, weights: list[float]) -> None:
    plain, optimizer = built(name)
    for step in range(STEPS):
        weighted(plain.losses(step), weights).backward()
        optimizer.step()
        optimizer.zero_grad()
    expected = torch.get_rng_state()

    model, optimizer = built(name)
    meter = TrainingGram(model, model.shared())
    for step in range(STEPS):
        losses = model.losses(step)
        total = weighted(losses, weights)
        if step % every:
            total.backward()
        else:
            with guard(model):
                truth = reference_gram(losses, list(model.shared().values()))
            watch = meter.start(losses, weights)
            with watch:
                total.backward()
            found = watch.sums.result().gram.sum(0)
            assert torch.allclose(found, truth, rtol=1e-9, atol=1e-14, equal_nan=True), step
        optimizer.step()
        optimizer.zero_grad()
    assert torch.equal(torch.get_rng_state(), expected)
    for a, b in zip(plain.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "name",
    ["steady", "hook on an activation", "function that wakes", "a task is skipped", "freezes"],
)
def test_sketches_are_of_the_gradients_of_each_step(name: str) -> None:
    model, optimizer = built(name)
    shared = model.shared()
    sketch = Sketch(shared, size=16, seed=1)
    meter = TrainingGram(model, shared, partial(SketchSums, sketch))
    weights = [1.0, 0.5, 2.0]
    for step in range(STEPS):
        losses = model.losses(step)
        truth = []
        for loss in losses:
            some = {n: p for n, p in shared.items() if loss is not None and p.requires_grad}
            gradients = (
                torch.autograd.grad(loss, [*some.values()], retain_graph=True, allow_unused=True)
                if loss is not None
                else ()
            )
            truth.append(dict(zip(some, gradients, strict=True)))
        watch = meter.start(losses, weights)
        with watch:
            weighted(losses, weights).backward()
        sketches, norms = watch.sums.sketched()
        for loss, gradients, found, norm in zip(losses, truth, sketches, norms, strict=True):
            if loss is None:
                assert torch.cat([found, norm[None]]).isnan().all()
                continue
            expected = sum(g.pow(2).sum() for g in gradients.values() if g is not None) ** 0.5
            assert torch.allclose(norm, expected, rtol=1e-9)
            assert torch.allclose(found, sketch(gradients), rtol=1e-4, atol=1e-6)
        optimizer.step()
        optimizer.zero_grad()


@readable
def test_measurements_of_several_kinds_are_no_interference(pull_backs: list[object]) -> None:
    model, _ = built("steady")
    shared = model.shared()
    sketches = partial(SketchSums, Sketch(shared, size=16, seed=1))
    meters = [TrainingGram(model, shared), TrainingGram(model, shared, sketches)]
    for expected in (6, 4, 4):
        pull_backs.clear()
        losses = model.losses(0)
        first, second = (meter.start(losses, [1.0] * 3) for meter in meters)
        with first, second:
            sum(losses).backward()
        assert len(pull_backs) == expected
