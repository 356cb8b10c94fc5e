"""The same numbers as curvlinops on an MLP, a CNN and a transformer."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trajlab.measure import fisher_norms, hessian_trace, sample_norms, top_eigenvalue
from trajlab.measure.capture import Capture, modules_of
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
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(3, 4)
        self.layer = nn.TransformerEncoderLayer(4, 2, 6, 0.0, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embedding(x)).mean(1))


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

    math = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    with math, Capture(modules_of(model, group_by_layer(parameters))) as capture:
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
