"""The same numbers as curvlinops on an MLP, a CNN and a transformer."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trajlab.measure import fisher_norms, hessian_trace, sample_norms, top_eigenvalue
from trajlab.measure.capture import Capture, modules_of
from trajlab.measure.hessian_product import HessianProduct
from trajlab.measure.likelihood import Categorical
from trajlab.measure.task_gram import group_by_layer

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    curvlinops = pytest.importorskip(
        "curvlinops",
        reason="curvlinops is not installed; make env installs it",
        exc_type=ImportError,
    )


class Transformer(nn.Module):
    """Without LayerNorm: with it the Hessian of curvlinops 3.0.1 (torch 2.13) is not symmetric, and
    differs from finite differences of the gradient, with which ours agrees (below).
    """

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Linear(3, 4)
        self.query, self.key, self.value = (nn.Linear(4, 4) for _ in range(3))
        self.norm = nn.LayerNorm(4) if norm else nn.Identity()
        self.wide = nn.Linear(4, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        z = self.embedding(x)
        attention = (self.query(z) @ self.key(z).mT / 2).softmax(-1)
        z = self.norm(z + attention @ self.value(z))
        return self.head(self.wide(z).tanh()).mean(1)


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2), nn.Tanh(), nn.Conv2d(3, 3, 2), nn.Flatten(), nn.Linear(12, 3)
    )


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), (4,)),
    "cnn": (convolutions, (1, 7, 7)),
    "transformer": (Transformer, (5, 3)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_curvlinops(name: str) -> None:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model = make().double()
    x, y = torch.randn(8, *shape).double(), torch.randint(0, 3, (8,))
    parameters = dict(model.named_parameters())
    criterion = nn.CrossEntropyLoss()
    data = [(x[:5], y[:5]), (x[5:], y[5:])]

    def dense(kind: str) -> Tensor:
        operator = getattr(curvlinops, kind)(
            model, criterion, list(parameters.values()), data, check_deterministic=False
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


def test_layer_norm_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    model = Transformer(norm=True).double()
    x, y = torch.randn(8, 5, 3).double(), torch.randint(0, 3, (8,))
    parameters = dict(model.named_parameters())
    product = HessianProduct(cross_entropy(model(x), y), parameters)
    vector = product.random(0)

    def gradient(shift: float) -> Tensor:
        sizes = [p.numel() for p in parameters.values()]
        with torch.no_grad():
            for p, v in zip(parameters.values(), vector.split(sizes), strict=True):
                p += shift * v.view_as(p)
        slopes = torch.autograd.grad(cross_entropy(model(x), y), list(parameters.values()))
        return torch.cat([g.flatten() for g in slopes])

    exact = product(vector)
    ahead, behind = gradient(1e-5), gradient(-2e-5)
    assert torch.allclose((ahead - behind) / 2e-5, exact, atol=1e-5)
