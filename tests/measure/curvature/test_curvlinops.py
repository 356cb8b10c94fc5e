"""The same numbers as curvlinops on an MLP, a CNN and a transformer."""

import warnings
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, cross_entropy, group_norm, layer_norm

from trajlab.measure import fisher_norms, top_eigenvalue
from trajlab.measure.curvature.product import HessianProduct
from trajlab.measure.curvature.trace import hessian_trace
from trajlab.measure.examples.capture import Capture
from trajlab.measure.examples.likelihood import Categorical
from trajlab.measure.examples.norms import sample_norms
from trajlab.measure.layers import group_by_layer, modules_of

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    curvlinops = pytest.importorskip(
        "curvlinops",
        reason="curvlinops is not installed; make env installs it",
        exc_type=ImportError,
    )


class PlainNorm(nn.LayerNorm):
    """Layer normalisation in operations that torch differentiates one by one (see below)."""

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scale = (centred.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()
        return centred / scale * self.weight + self.bias


class Transformer(nn.Module):
    def __init__(self, norm: type[nn.LayerNorm]) -> None:
        super().__init__()
        self.embedding = nn.Linear(3, 4)
        self.query, self.key, self.value = (nn.Linear(4, 4) for _ in range(3))
        self.norm = norm(4)
        self.wide = nn.Linear(4, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = self.embedding(x)
        attention = (self.query(z) @ self.key(z).mT / 2).softmax(-1)
        z = self.norm(z + attention @ self.value(z))
        return self.head(self.wide(z).tanh()).mean(1)


def convolutions(_: object) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2), nn.Tanh(), nn.Conv2d(3, 3, 2), nn.Flatten(), nn.Linear(12, 3)
    )


# the model, what curvlinops is given for it, and an example's shape
MODELS = {
    "mlp": (lambda _: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), (4,)),
    "cnn": (convolutions, (1, 7, 7)),
    "transformer": (Transformer, (5, 3)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_curvlinops(name: str) -> None:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model, theirs = make(nn.LayerNorm).double(), make(PlainNorm).double()
    theirs.load_state_dict(model.state_dict())
    x, y = torch.randn(8, *shape).double(), torch.randint(0, 3, (8,))
    parameters = dict(model.named_parameters())
    criterion = nn.CrossEntropyLoss()
    data = [(x[:5], y[:5]), (x[5:], y[5:])]

    def dense(kind: str) -> Tensor:
        operator = getattr(curvlinops, kind)(
            theirs, criterion, list(theirs.parameters()), data, check_deterministic=False
        )
        return operator @ torch.eye(operator.shape[1], dtype=torch.float64)

    with Capture(modules_of(model, group_by_layer(parameters))) as capture:
        hessian = dense("HessianLinearOperator")
        logits = model(x)
        losses = cross_entropy(logits, y, reduction="none")
        found = top_eigenvalue(losses.mean(), parameters, tolerance=1e-7, limit=300)
        trace = hessian_trace(losses.mean(), parameters, probes=2, krylov=None)
        ggn = dense("GGNLinearOperator")
        empirical = dense("EFLinearOperator")
    eigenvalues = torch.linalg.eigvalsh(hessian)
    assert found.value == pytest.approx(eigenvalues[-1].item(), rel=1e-6)
    assert abs(trace.value - hessian.trace().item()) < 60 * trace.se
    # the Fisher trace is that of the generalised Gauss-Newton matrix
    fisher = fisher_norms(
        Categorical(logits), parameters, capture.calls, generator=torch.Generator()
    )
    assert fisher.mean().item() == pytest.approx(ggn.trace().item(), rel=1e-9)
    norms = sample_norms(losses, parameters, capture.calls)
    assert norms.mean().item() == pytest.approx(empirical.trace().item(), rel=1e-9)


NORMS = {
    "layer norm": lambda z, w: layer_norm(z, (4,), w[:4], w[4:]),
    "batch norm": lambda z, w: batch_norm(z, None, None, w[:4], w[4:], training=True),
    "group norm": lambda z, w: group_norm(z, 2, w[:4], w[4:]),
}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", NORMS)
def test_normalisation_agrees_with_finite_differences(name: str) -> None:
    # curvlinops 3.0.1 takes jvp(jacrev(loss)). In torch 2.13 that forgets that the statistics of
    # layer and batch normalisation depend on the weights (here 12 and 39 % off, and not symmetric);
    # jvp(grad(loss)) does not, nor does double backward.
    torch.manual_seed(0)
    x, point, direction = torch.randn(6, 3).double(), *torch.randn(2, 20).double()

    def loss(parameters: Mapping[str, Tensor]) -> Tensor:
        w = parameters["w"]
        return NORMS[name](x @ w[:12].view(3, 4), w[12:]).sin().pow(2).sum()

    def slope(point: Tensor) -> Tensor:
        w = point.clone().requires_grad_()
        return torch.autograd.grad(loss({"w": w}), w)[0]

    truth = (slope(point + 1e-5 * direction) - slope(point - 1e-5 * direction)) / 2e-5
    w = nn.Parameter(point)
    for form in (loss({"w": w}), loss):
        product = HessianProduct(form, {"w": w})
        assert (product(direction) - truth).abs().max() < 1e-5 * truth.abs().max()
