"""Noise-corrected similarity against known cosines."""

import pytest
import torch
from torch import Tensor, nn

from trajlab.errors import TrajlabError
from trajlab.measure.similarity import CrossBatchSimilarity, Similarity


def simulate(
    means: Tensor,
    noise: float,
    batches: int,
    seed: int,
    sizes: tuple[int, ...] = (8,),
    groups: int = 10,
) -> Similarity:
    """Tasks with own batches: a batch's loss is Σ_i x_i · θ with x_i = mean + noise."""
    generator = torch.Generator().manual_seed(seed)
    theta = nn.Parameter(torch.zeros(means.shape[1], dtype=torch.float64))
    similarity = CrossBatchSimilarity(len(means), groups=groups)
    for a in range(batches):
        n = sizes[a % len(sizes)]
        losses = []
        for mean in means:
            x = mean + noise * torch.randn(n, len(mean), generator=generator).double()
            losses.append(((x @ theta).sum(), float(n)))
        similarity.add(losses, {"theta": theta})
    return similarity.result()


def two_tasks(cosine: float, size: int = 200) -> Tensor:
    means = torch.zeros(2, size, dtype=torch.float64)
    means[0, 0] = 1
    means[1, 0], means[1, 1] = cosine, (1 - cosine**2) ** 0.5
    return means


def test_recovers_the_cosine_where_batches_show_almost_nothing() -> None:
    # as identically distributed tasks with own batches
    every = [simulate(two_tasks(0.9), 1.0, 200, seed) for seed in range(6)]
    ceilings = torch.stack([each.ceiling for each in every]) * 26  # 1 / (1 + 200 / 8)
    error = ceilings.std(0) / len(every) ** 0.5
    assert ((ceilings.mean(0) - 1).abs() < 4 * error).all()
    assert error.max() < 0.04
    found = every[0]
    batch = found.ceiling.mean().item() * 0.9
    assert batch < 0.05
    assert abs(found.cosine[0, 1].item() - 0.9) < 3 * found.se[0, 1].item()
    assert abs(found.cosine[0, 1].item() - 0.9) < 0.1
    # the paper's equation 6 says 1/√2 whatever the tasks are
    assert found.cosine_to_update == pytest.approx(torch.full((2,), 0.5**0.5).double(), rel=0.05)


@pytest.mark.parametrize("cosine", [-0.6, 0.0, 0.8])
def test_unbiased_and_its_error_covers(cosine: float) -> None:
    found = [simulate(two_tasks(cosine, 60), 0.4, 20, seed, (8, 8, 5)) for seed in range(80)]
    values = torch.stack([f.cosine[0, 1] for f in found])
    errors = torch.stack([f.se[0, 1] for f in found])
    assert abs(values.mean() - cosine) < 4 * values.std() / len(found) ** 0.5 + 0.005
    covered = ((values - cosine).abs() < 2.26 * errors).double().mean()  # t, 9 degrees of freedom
    assert covered >= 0.88
    assert errors.median() < 1.4 * values.std()  # and is not that because it is too large


def test_exact_without_noise() -> None:
    found = simulate(two_tasks(-0.3), 0.0, 5, 0, (8, 3))
    assert found.cosine[0, 1].item() == pytest.approx(-0.3)
    assert torch.allclose(found.cosine.diagonal(), torch.ones(2).double())
    assert torch.allclose(found.ceiling, torch.ones(2).double())
    assert found.se.abs().max() < 1e-7
    assert not found.noise_dominated.any()


def test_noise_dominated_is_nan_for_that_task_only() -> None:
    means = two_tasks(0.5)
    means[1] *= 0.01
    found = simulate(means, 1.0, 40, 0)
    assert found.noise_dominated.tolist() == [False, True]
    assert found.cosine.isnan().tolist() == [[False, True], [True, True]]


@pytest.mark.parametrize(("noise", "dominated"), [(0.77, False), (0.84, True)])
def test_noise_dominates_below_two_standard_errors(noise: float, dominated: bool) -> None:
    slopes = torch.tensor([1.3, -0.4, 0.9, -1.1, 0.2, -0.6, 1.0, -1.3]).double() * noise + 1.2
    theta = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    similarity = CrossBatchSimilarity(1)
    for slope in slopes:
        similarity.add([(slope * theta.sum(), 1.0)], {"theta": theta})

    def squared_norm(chosen: Tensor) -> Tensor:
        n = len(chosen)
        return (chosen.sum() ** 2 - chosen.square().sum()) / (n * (n - 1))

    n = len(slopes)
    left_out = torch.stack([squared_norm(slopes[torch.arange(n) != gone]) for gone in range(n)])
    error = (left_out.var(correction=0) * (n - 1)).sqrt()
    assert 1.8 < squared_norm(slopes) / error < 2.2
    assert similarity.result().noise_dominated.tolist() == [dominated]


def test_groups_that_no_batch_fell_into_do_not_count() -> None:
    found = [simulate(two_tasks(0.5), 0.1, 4, 0, groups=groups) for groups in (4, 10)]
    assert (found[0].se[0, 1] > 1e-3).all()
    assert torch.allclose(found[1].se, found[0].se)
    assert torch.allclose(found[1].cosine, found[0].cosine)


def test_task_without_some_batches() -> None:
    theta = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    slopes = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).double()
    similarity = CrossBatchSimilarity(2)
    for a in range(6):
        second = ((slopes[1] @ theta) * 3, 3.0) if a < 4 else None
        similarity.add([((slopes[0] @ theta) * 2, 2.0), second], {"theta": theta})
    found = similarity.result()
    assert found.cosine[0, 1].item() == pytest.approx(0.5**0.5)
    assert found.ceiling == pytest.approx(torch.ones(2).double())


def test_needs_three_batches() -> None:
    with pytest.raises(TrajlabError, match="was given 2; give three"):
        simulate(two_tasks(0.5), 1.0, 2, 0)


def test_cosine_to_the_update_is_that_to_the_sum_of_task_gradients() -> None:
    means = torch.tensor([[1.0, 0.0], [3.0, 4.0]]).double()
    total = means.sum(0)
    cosines = means @ total / means.norm(dim=1) / total.norm()
    found = simulate(means, 0.0, 3, 0)
    assert found.cosine_to_update == pytest.approx(cosines)


def test_each_cosine_that_is_missing_has_a_reason() -> None:
    theta = nn.Parameter(torch.zeros(4, dtype=torch.float64))
    rows = torch.eye(4, dtype=torch.float64)
    similarity = CrossBatchSimilarity(6)
    for a in range(4):
        certain, scattered = rows[0] @ theta, rows[a] @ theta
        alone = certain if a == 0 else None
        losses = [certain, 0 * certain, torch.nan * certain, None, alone, scattered]
        similarity.add([None if x is None else (x, 1.0) for x in losses], {"theta": theta})
    found = similarity.result()
    assert found.reasons == (
        "",
        "its gradient is zero",
        "its gradient is not finite",
        "no data of this task was given",
        "it has one batch alone",
        "noise-dominated",
    )
    for task, reason in enumerate(found.reasons):
        assert bool(found.cosine[task, task].isnan()) == bool(reason)
