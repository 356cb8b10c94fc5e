"""Fisher traces against explicit matrices and closed forms."""

from math import isnan, nan

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.nn.functional import cross_entropy

from trajlab.measure.examples.capture import Capture
from trajlab.measure.examples.fisher import fisher_norms, fisher_trace
from trajlab.measure.examples.likelihood import Bernoulli, Categorical, Gaussian, Likelihood
from trajlab.measure.layers import modules_of


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(outputs: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A tanh network, a batch, and its exact Jacobian (n, output, parameter)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, outputs)).double()
    x = torch.randn(6, 3).double()
    point = {name: p.detach() for name, p in model.named_parameters()}
    blocks = jacrev(lambda p: functional_call(model, p, (x,)))(point)
    return model, x, torch.cat([b.flatten(2) for b in blocks.values()], dim=2)


def norms(likelihood: Likelihood, model: nn.Module, seed: int = 0) -> Tensor:
    return fisher_norms(likelihood, dict(model.named_parameters()), generator=generator(seed))


def test_classes_match_the_explicit_matrix() -> None:
    model, x, jacobian = network(3)
    logits = model(x)
    p = logits.softmax(1).detach()
    # F = E_x Jᵀ (diag p − p pᵀ) J
    inner = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    explicit = torch.einsum("nop,noq,nqp->n", jacobian, inner, jacobian)
    with Capture(modules_of(model, ["0", "2"])) as capture:
        logits = model(x)
    found = fisher_norms(
        Categorical(logits), dict(model.named_parameters()), capture.calls, generator=generator()
    )
    assert torch.allclose(found, explicit, rtol=1e-12)


def test_logistic_regression_in_closed_form() -> None:
    # tr F = E_x p (1 − p) ‖x‖² for one logit and two classes
    x = torch.randn(50, 4, dtype=torch.float64)
    w = nn.Parameter(torch.randn(4, dtype=torch.float64))
    p = torch.sigmoid(x @ w).detach()
    found = fisher_norms(Bernoulli(x @ w), {"w": w}, generator=generator())
    assert torch.allclose(found, p * (1 - p) * x.pow(2).sum(1), rtol=1e-12)


def test_linear_regression_in_closed_form() -> None:
    x = torch.randn(50, 4, dtype=torch.float64)
    w = nn.Parameter(torch.randn(4, 2, dtype=torch.float64))
    found = fisher_norms(Gaussian(x @ w), {"w": w}, generator=generator())
    assert torch.allclose(found, 2 * x.pow(2).sum(1), rtol=1e-12)


@pytest.mark.parametrize("kind", [Categorical, Bernoulli, Gaussian])
def test_sampling_beyond_ten_outcomes_is_unbiased(
    kind: type[Likelihood], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, x, _ = network(4)
    exact = norms(kind(model(x)), model)
    monkeypatch.setattr("trajlab.measure.examples.likelihood.EXACT", 3)
    logits = model(x)
    draws = torch.stack([norms(kind(logits), model, seed) for seed in range(400)])
    z = (draws.mean(0) - exact) / (draws.std(0) / 20)
    assert z.abs().max() < 4
    assert draws.std() > 0


def test_dense_outputs_with_ignored_pixels() -> None:
    # labels of the pixels are independent: E ‖mean of gradients‖² = Σ_pixels tr F_pixel / count²
    torch.manual_seed(0)
    model = nn.Conv2d(2, 3, 1).double()
    x = torch.randn(4, 2, 2, 2).double()
    valid = torch.tensor([[[True, True], [True, False]]]).expand(4, 2, 2)
    p = model(x).softmax(1).detach()
    pixel = (1 - p.pow(2).sum(1)) - 0.0  # Σ_c p_c ‖p − e_c‖² = 1 − Σ p²
    exact = (pixel * (x.pow(2).sum(1) + 1) * valid).sum((1, 2)) / 9
    logits = model(x)
    draws = torch.stack([norms(Categorical(logits, valid=valid), model, s) for s in range(600)])
    assert ((draws.mean(0) - exact) / (draws.std(0) / 600**0.5)).abs().max() < 4


def test_class_weights_multiply_the_loss_of_the_sampled_label() -> None:
    model, x, _ = network(3)
    weight = torch.tensor([0.5, 1.0, 3.0]).double()
    logits = model(x)
    exact = torch.zeros(6).double()
    for i in range(6):
        for c in range(3):
            loss = weight[c] * cross_entropy(logits[i], torch.tensor(c))
            slopes = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
            probability = logits[i].softmax(0)[c].item()
            exact[i] += probability * sum(g.pow(2).sum() for g in slopes)
    assert torch.allclose(norms(Categorical(logits, weight), model), exact, rtol=1e-12)


def test_standard_error_covers_the_population() -> None:
    rng = generator(3)
    hits = 0
    for _ in range(400):
        found = fisher_trace([torch.randn(40, generator=rng).exp(), torch.ones(0)])
        hits += abs(found.value - 2.718281828**0.5) < 1.96 * found.se
    assert 0.85 < hits / 400 < 0.98  # skewed, so below .95


def test_trace_and_its_error_are_over_the_examples_of_all_batches() -> None:
    """Of 1, 2 and 6 the mean is 3 and the variance 7; of one example there is no error."""
    found = fisher_trace([torch.tensor([1.0, 2.0]), torch.tensor([6.0])])
    assert (found.value, found.se) == (pytest.approx(3.0), pytest.approx((7 / 3) ** 0.5))
    for given, value in (([torch.tensor([5.0])], 5.0), ([], nan)):
        one = fisher_trace(given)
        assert one.value == pytest.approx(value, nan_ok=True)
        assert isnan(one.se)
