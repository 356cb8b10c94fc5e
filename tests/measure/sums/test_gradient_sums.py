"""Gradients added up over passes: the Gram matrix of the sum, exact or from sketches."""

import pytest
import torch

from trajlab.measure.sums.gradient_sums import GradientSums

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def parameters() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "a.weight": torch.randn(3, requires_grad=True),
        "b.weight": torch.randn(3, requires_grad=True),
    }


def added(memory: int) -> tuple[GradientSums, dict[str, torch.Tensor]]:
    """Three tasks over four passes: the second reaches `b` alone, the third is never there."""
    w = parameters()
    sums = GradientSums(w, 3, memory=memory)
    for x in X:
        losses = [(x * w["a.weight"]).sum() + w["b.weight"].sum(), (x * w["b.weight"]).sum(), None]
        sums.add(losses, w, share=0.25)
    return sums, w


BYTES = 3 * 6 * 4  # of three tasks' gradients


@pytest.mark.parametrize("memory", [BYTES, BYTES - 1])
def test_gram_of_the_mean_gradients(memory: int) -> None:
    sums, _ = added(memory)
    assert sums.sketched == (memory < BYTES)
    assert sums.layers == ("a", "b")
    mean = X.mean(0).double()
    gram = sums.gram()
    tolerance = {"rtol": 1e-5, "atol": 1e-6}  # three coordinates seldom share one of 4,096 buckets
    assert torch.allclose(gram[0, :2, :2], torch.diag(torch.stack([mean @ mean, mean[0] * 0])))
    expected = torch.stack(
        [torch.stack([mean[0] * 0 + 3, mean.sum()]), torch.stack([mean.sum(), mean @ mean])]
    )
    assert torch.allclose(gram[1, :2, :2], expected, **tolerance)
    assert gram[:, 2].isnan().all()
    assert gram[:, :, 2].isnan().all()


@pytest.mark.parametrize("memory", [BYTES, BYTES - 1])
def test_dot_with_an_update(memory: int) -> None:
    sums, _ = added(memory)
    update = {"a.weight": torch.tensor([1.0, 2.0, 3.0])}
    mean = X.mean(0).double()
    found = sums.dot(update)
    assert found[0].item() == pytest.approx(float(mean @ torch.tensor([1.0, 2, 3]).double()), 1e-5)
    assert found[1] == 0
    assert found[2].isnan()
