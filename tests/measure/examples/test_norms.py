"""Per-example gradient norms against one float64 gradient an example."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.measure.examples import formulas
from trajlab.measure.examples.capture import Capture
from trajlab.measure.examples.check import ExampleCheck
from trajlab.measure.examples.norms import refuse_batch_statistics, sample_norms
from trajlab.measure.layers import group_by_layer, modules_of

N = 5


class Sequences(nn.Module):
    """Everything a transformer has: embedding, positions, attention, normalisation."""

    def __init__(self, batch_first: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.position = nn.Parameter(torch.randn(N, 8))
        self.query = nn.Linear(8, 8, bias=False)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
        self.norm = nn.LayerNorm(8)
        self.wide = nn.Linear(8, 40)
        self.head = nn.Linear(40, 3)
        self.batch_first = batch_first

    def forward(self, x: Tensor) -> Tensor:
        z = self.embedding(x) + self.position  # as long as there are examples, to confuse them
        z = z if self.batch_first else z.transpose(0, 1)
        z = self.norm(z + self.attention(self.query(z), z, z, need_weights=False)[0])
        return self.head(self.wide(z).relu()).mean(1 if self.batch_first else 0)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(6, 6)
        self.head = nn.Linear(6, 6)
        self.head.weight = self.twice.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.twice(self.twice(x).tanh()).tanh())


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, stride=2, dilation=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 4, 3, groups=2, padding_mode="circular", padding=1),
        nn.GroupNorm(2, 4),
        nn.PReLU(),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor], set[str]]] = {
    "mlp": (
        lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)),
        lambda: torch.randn(N, 4),
        {"0", "2"},
    ),
    "positions": (
        lambda: nn.Sequential(nn.Linear(4, 40), nn.Tanh(), nn.Linear(40, 40), nn.Flatten()),
        lambda: torch.randn(N, 3, 4),
        {"0", "2"},
    ),
    "cnn": (convolutions, lambda: torch.randn(N, 2, 8, 8), {"0", "1", "3", "4", "5", "7"}),
    "transformer": (
        Sequences,
        lambda: torch.randint(0, 20, (N, N)),
        {"embedding", "query", "attention", "norm", "wide", "head"},
    ),
    "sequence first": (
        lambda: Sequences(batch_first=False),
        lambda: torch.randint(0, 20, (N, N)),
        {"embedding"},
    ),
    "tied": (Tied, lambda: torch.randn(N, 6), {"head"}),
}


def test_a_batch_of_one_example_has_the_norm_of_its_gradient() -> None:
    torch.manual_seed(0)
    model, x = convolutions().eval().double(), torch.randn(1, 2, 8, 8).double()
    parameters = dict(model.named_parameters())
    with Capture(modules_of(model, group_by_layer(parameters))) as capture:
        losses = model(x).logsumexp(1)
    slopes = torch.autograd.grad(losses.sum(), list(parameters.values()), retain_graph=True)
    wanted = torch.stack([slope.pow(2).sum() for slope in slopes]).sum()
    found = sample_norms(losses, parameters, capture.calls)
    assert torch.allclose(found, wanted.expand(1), rtol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_captured_norms_are_those_of_each_example_alone(name: str) -> None:
    torch.manual_seed(0)
    make, data, captured = MODELS[name]
    model, x = make().eval(), data()
    model.double()
    x = x.double() if x.is_floating_point() else x
    parameters = dict(model.named_parameters())
    with Capture(modules_of(model, group_by_layer(parameters))) as capture:
        losses = model(x).logsumexp(1)
    check = ExampleCheck()
    found = sample_norms(losses, parameters, capture.calls, check=check)
    alone = []
    for i in range(N):
        loss = model(x[i : i + 1]).logsumexp(1).sum()
        slopes = torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True)
        alone.append(sum(g.pow(2).sum() for g in slopes))
    assert torch.allclose(found, torch.stack(alone), rtol=1e-12)
    assert torch.allclose(sample_norms(losses, parameters), found, rtol=1e-12)
    assert {n for n in parameters if n.split(".")[0] not in captured} == check.one_by_one
    assert not check.wrong
    assert check.passes == 3
    assert all(p.grad is None for p in parameters.values())


def test_only_the_given_parameters_count() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    model[0].bias.requires_grad_(False)
    parameters = {"0.weight": model[0].weight, "0.bias": model[0].bias}
    with Capture(modules_of(model, ["0"])) as capture:
        losses = model(torch.randn(N, 4).double()).pow(2).sum(1)
    assert torch.allclose(
        sample_norms(losses, parameters, capture.calls), sample_norms(losses, parameters)
    )
    assert sample_norms(losses.detach(), parameters).tolist() == [0.0] * N
    unreached = {"u": nn.Parameter(torch.ones(2))}
    assert sample_norms(losses, unreached).tolist() == [0.0] * N


def test_calls_of_another_graph_are_not_used() -> None:
    model = nn.Sequential(nn.Linear(4, 3)).double()
    x = torch.randn(2, N, 4).double()
    losses = model(x[0]).pow(2).sum(1)
    with Capture(modules_of(model, ["0"])) as capture:
        model(x[1])
    parameters = dict(model.named_parameters())
    assert torch.allclose(
        sample_norms(losses, parameters, capture.calls), sample_norms(losses, parameters)
    )


def test_memory_chunks_do_not_change_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    model = convolutions().eval()
    parameters = dict(model.named_parameters())
    with Capture(modules_of(model, group_by_layer(parameters))) as capture:
        losses = model(torch.randn(N, 2, 8, 8)).logsumexp(1)
    whole = sample_norms(losses, parameters, capture.calls)
    monkeypatch.setattr(formulas, "_ELEMENTS", 1)
    assert torch.allclose(whole, sample_norms(losses, parameters, capture.calls))


def test_batch_statistics_are_refused() -> None:
    model = convolutions()
    with pytest.raises(TrajlabError, match="layer 1 normalises over the batch"):
        refuse_batch_statistics(model)
    refuse_batch_statistics(model.eval())
    with pytest.raises(TrajlabError):
        refuse_batch_statistics(nn.BatchNorm1d(3, track_running_stats=False).eval())
