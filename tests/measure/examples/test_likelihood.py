"""Draws of targets: weights that sum to an expectation, exact on one side of ten outcomes."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from trajlab.measure.examples.likelihood import EXACT, Bernoulli, Categorical, Gaussian


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_classes_are_summed_by_their_probabilities() -> None:
    logits = torch.randn(5, 3, dtype=torch.float64)
    weights, losses = zip(*Categorical(logits).draws(generator()), strict=True)
    torch.testing.assert_close(torch.stack(weights, 1), logits.softmax(1))
    torch.testing.assert_close(torch.stack(losses, 1), -logits.log_softmax(1))


@pytest.mark.parametrize("outcomes", [EXACT, EXACT + 1])
def test_more_outcomes_than_are_summed_are_drawn_once(outcomes: int) -> None:
    logits = torch.randn(5, outcomes)
    draws = {
        kind: list(kind(logits).draws(generator())) for kind in (Categorical, Bernoulli, Gaussian)
    }
    for kind, drawn in draws.items():
        assert len(drawn) == (outcomes if outcomes <= EXACT else 1), kind
    if outcomes > EXACT:
        assert all(torch.equal(drawn[0][0], torch.ones(5)) for drawn in draws.values())


def test_labels_drawn_from_the_model_have_its_probabilities() -> None:
    logits = torch.zeros(20_000, 2, 1)
    logits[:, 1] = 1.0
    ((_, losses),) = Categorical(logits).draws(generator())  # positions: always drawn
    share = (losses - cross_entropy(logits[:1, :, 0], torch.tensor([1]))).abs() < 1e-6
    p = torch.sigmoid(torch.tensor(1.0)).item()
    assert abs(share.float().mean().item() - p) < 4 * (p * (1 - p) / 20_000) ** 0.5


def test_a_label_s_slope_has_the_variance_of_its_cross_entropy() -> None:
    """The slope in a logit is p - y, whose mean square under y ~ p is p (1 - p)."""
    logits = torch.tensor([[0.3]], dtype=torch.float64)
    p = logits.sigmoid()
    slopes = []
    for y in (0.0, 1.0):
        leaf = logits.clone().requires_grad_()
        binary_cross_entropy_with_logits(leaf, torch.full_like(leaf, y)).backward()
        slopes.append(leaf.grad.item() ** 2)
    ((weight, loss),) = Bernoulli(logits).draws(generator())
    assert weight.item() == pytest.approx((1 - p.item()) * slopes[0] + p.item() * slopes[1])
    assert loss.item() == logits.item()  # its slope is 1


def test_positions_that_do_not_count_are_left_out_of_the_mean() -> None:
    logits = torch.randn(2, 3, 4)
    valid = torch.tensor([[True, True, False, False], [False] * 4])
    ((_, losses),) = Categorical(logits, valid=valid).draws(generator())
    ((_, alone),) = Categorical(logits[:1, :, :2]).draws(generator())
    ((_, every),) = Categorical(logits).draws(generator())
    assert losses[1] == 0
    assert losses[0] != every[0]
    assert alone.shape == (1,)
