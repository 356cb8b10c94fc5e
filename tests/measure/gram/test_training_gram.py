"""Gram matrices around the training backward: properties, and what the zoo cannot see."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

from tests.measure.gram.readable import readable
from tests.zoo import build, reference_gram
from trajlab import TrajlabError
from trajlab.measure import guard
from trajlab.measure.gram.layer_sums import TaskGram
from trajlab.measure.gram.task_gram import task_gram
from trajlab.measure.gram.training_gram import TrainingGram


def measure(
    meter: TrainingGram, model: nn.Module, scales: list[float], order: list[int] | None = None
) -> TaskGram:
    losses = model.losses(0)
    losses = [s * loss for s, loss in zip(scales, losses, strict=True)]
    losses = [losses[t] for t in order or range(len(losses))]
    watch = meter.start(losses, [1.0] * len(losses))
    with watch:
        sum(losses).backward()
    return watch.sums.result()


CASES = st.sampled_from(["mlp", "conv then linear", "own inputs", "some inputs shared"])


@settings(max_examples=20, deadline=None)
@given(
    case=CASES,
    seed=st.integers(0, 1000),
    scales=st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
    order=st.permutations(range(3)),
)
def test_symmetric_semidefinite_bilinear_and_permutation_equivariant(
    case: str, seed: int, scales: list[float], order: list[int]
) -> None:
    model = build(case, torch.float64, seed)
    plain = task_gram(model.losses(0), model.shared()).gram
    meter = TrainingGram(model, model.shared())
    for _ in range(2):  # all tasks pulled back, then one derived
        gram = measure(meter, model, scales, order).gram
        assert torch.equal(gram, gram.mT)
        size = gram.diagonal(dim1=1, dim2=2).amax(1)
        assert (torch.linalg.eigvalsh(gram)[:, 0] >= -1e-12 * size).all()
        c = torch.tensor(scales, dtype=torch.float64)
        expected = (plain * c * c[:, None])[:, order][:, :, order]
        assert ((gram - expected).abs() <= 1e-10 * expected.abs().amax()).all()


@readable
def test_second_measurement_pulls_back_one_task_less(pull_backs: list[object]) -> None:
    model = build("mlp", torch.float64)
    meter = TrainingGram(model, model.shared())
    for expected in (3, 2, 2):
        measure(meter, model, [1.0, 2.0, 3.0])
        assert len(pull_backs) == expected
        pull_backs.clear()


def test_own_inputs_need_no_pull_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("own inputs", torch.float64)
    monkeypatch.setattr(torch.autograd, "grad", None)
    found = measure(TrainingGram(model, model.shared()), model, [1.0, 1.0, 1.0])
    monkeypatch.undo()
    expected = reference_gram(model.losses(0), list(model.shared().values()))
    assert torch.allclose(found.gram.sum(0), expected, rtol=1e-10)


@readable
def test_linear_layers_get_no_weight_gradient_where_that_pays() -> None:
    model = build("conv then linear", torch.float32)
    found = measure(TrainingGram(model, model.shared()), model, [1.0, 1.0, 1.0])
    assert found.layers == ("trunk.0", "trunk.2")
    assert found.from_gradients == ("trunk.0",)
    large = build("mlp large batch", torch.float32)
    found = measure(TrainingGram(large, large.shared()), large, [1.0, 1.0, 1.0])
    assert found.from_gradients == ("trunk.0", "trunk.2")


def test_layer_that_the_derived_task_skips_is_exactly_zero() -> None:
    model = build("tasks skip layers", torch.float32)
    meter = TrainingGram(model, model.shared())
    for _ in range(2):
        gram = measure(meter, model, [1.0, 100.0, 1.0]).gram  # the second task leaves early
        assert gram.sum(0).diagonal().argmax() == 1
        assert (gram[1, 1] == 0).all()


def test_layer_that_others_share_and_the_derived_task_skips_is_exactly_zero() -> None:
    """What is left of the total where several reach a layer is rounding, and no gradient."""
    model = build("mlp", torch.float32)
    meter = TrainingGram(model, model.shared())
    for _ in range(2):
        early = model.trunk[0](model.x)
        z = model.trunk[1:](early)
        losses = [model.loss(0, z), 100 * early.square().mean(), model.loss(2, z)]
        watch = meter.start(losses, [1.0] * 3)
        with watch:
            sum(losses).backward()
        gram = watch.sums.result().gram
        assert gram.sum(0).diagonal().argmax() == 1  # which is derived the second time
        assert (gram[1, 1] == 0).all()
        assert gram[1, 0, 2] != 0


@readable
def test_row_that_is_all_rounding_is_nan_for_one_step() -> None:
    model = build("mlp", torch.float32)
    meter = TrainingGram(model, model.shared())
    steps = [measure(meter, model, [scale, 1.0, 1.0]).gram.sum(0) for scale in (100, 1e-6, 1e-6)]
    assert [gram.isnan().any().item() for gram in steps] == [False, True, False]
    assert steps[1].isnan().tolist() == [
        [True, True, True],
        [True, False, False],
        [True, False, False],
    ]


@pytest.mark.parametrize("weights", [[0.0, 1.0, 2.0], [1.0, 0.0, 0.0], [-1.0, 0.5, 0.0]])
@pytest.mark.parametrize("case", ["mlp", "own inputs"])
def test_weight_zero_still_measures_the_task(case: str, weights: list[float]) -> None:
    model = build(case, torch.float64)
    meter = TrainingGram(model, model.shared())
    for _ in range(2):
        losses = model.losses(0)
        expected = reference_gram(losses, list(model.shared().values()))
        watch = meter.start(losses, weights)
        with watch:
            sum(w * loss for w, loss in zip(weights, losses, strict=True)).backward()
        assert torch.allclose(watch.sums.result().gram.sum(0), expected, rtol=1e-9, atol=1e-12)


def test_reentrant_checkpoint_is_one_sentence() -> None:
    layer = nn.Linear(3, 3)
    x = torch.randn(2, 3, requires_grad=True)
    loss = checkpoint(layer, x, use_reentrant=True).sum()
    with pytest.raises(TrajlabError, match="use_reentrant=False"):
        task_gram([loss], dict(layer.named_parameters()))


def test_failing_backward_leaves_no_hook() -> None:
    model = build("mlp", torch.float64)
    meter = TrainingGram(model, model.shared())
    losses = model.losses(0)
    watch = meter.start(losses, [1.0] * 3)
    with pytest.raises(KeyError), watch:
        raise KeyError
    before = len(watch._waiting)
    sum(losses).backward()
    assert len(watch._waiting) == before


def test_low_precision_keeps_to_what_autograd_gives() -> None:
    model = build("mlp", torch.float32)
    meter = TrainingGram(model, model.shared())
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            losses = model.losses(0)
        with guard(model):
            expected = reference_gram(losses, list(model.shared().values()))
        watch = meter.start(losses, [1.0] * 3)
        with watch:
            sum(losses).backward()
        found = watch.sums.result().gram.sum(0)
        assert (found - expected).abs().max() < 2e-2 * expected.diagonal().max()
