"""Gradients added up over passes: the Gram matrix of the sum, exact or from sketches."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from trajlab.measure.sums.gradient_sums import GradientSums
from trajlab.measure.sums.task_sums import task_gradient

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


@pytest.mark.parametrize("memory", [BYTES, BYTES - 1])
def test_gradients_are_averaged_with_those_of_another_process(
    monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    """The other one has twice these gradients: together 3/2 of them, and 9/4 of their products."""
    sums, _ = added(memory)
    before, update = sums.gram(), {"b.weight": torch.ones(3)}
    dots = sums.dot(update)
    sent: list[int] = []

    def sum_with_another(tensors: Sequence[Tensor]) -> list[Tensor]:
        sent.append(len(tensors))
        return [tensors[0] * 2, *(3 * tensor for tensor in tensors[1:])]

    monkeypatch.setattr("trajlab.measure.sums.task_sums.processes", lambda: 2)
    monkeypatch.setattr("trajlab.measure.sums.task_sums.sum_over_processes", sum_with_another)
    assert sums.reached == [0, 1]
    sums.average()
    # of sketches one message, of gradients one a task: presence, and two layers each
    assert sent == ([1 + 3 * 2] if sums.sketched else [1 + 2] * 3)
    assert torch.allclose(sums.gram()[:, :2, :2], 2.25 * before[:, :2, :2], rtol=1e-6, atol=1e-12)
    assert sums.gram()[:, 2].isnan().all()
    assert torch.allclose(sums.dot(update)[:2], 1.5 * dots[:2], rtol=1e-6)
    assert sums.gram().dtype == sums.dot(update).dtype == torch.float64


def test_gradients_of_little_precision_are_kept_in_float32() -> None:
    """What a scale of 2^16 keeps from vanishing, a float16 would lose again."""
    w = torch.ones(2, dtype=torch.float16, requires_grad=True)
    found = task_gradient(2.0**-20 * w.float().sum(), {"w": w}, share=0.5, loss_scale=2.0**16)["w"]
    assert found.dtype == torch.float32
    assert found.tolist() == [2.0**-21] * 2
    frozen = {"w": w.detach()}
    assert task_gradient(w.float().sum(), frozen) == {}
    assert task_gradient(torch.ones(()), {"w": w}) == {}
