"""Similarity across time, from the file alone, against the gradients themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trajlab import Recorder, TrajlabError, probes
from trajlab.analysis import conflict
from trajlab.analysis.conflict.sketches import (
    cosine_to_step,
    similarity_across_time,
    sketch_cosine,
    stiffness,
    time_frame,
)
from trajlab.store import Trajectory


def record(
    path: Path,
    size: int = 4096,
    seed: int = 0,
    along: tuple[float, float] = (1, 1),
    steps: int = 4,
) -> tuple[Trajectory, torch.Tensor]:
    """Train on the sum of two losses, but step along their gradients times `along`."""
    torch.manual_seed(0)
    model = nn.Linear(40, 30)
    gradients = []
    with Recorder(
        path,
        model,
        tasks=["a", "b"],
        shared=model,
        probes=[probes.GradientSketch(every=1, size=size, seed=seed), probes.TaskGradients()],
    ) as recorder:
        for _ in range(steps):
            x = torch.randn(3, 40) + 1
            losses = {"a": model(x).pow(2).mean(), "b": model(x).abs().mean()}
            rows = [
                torch.autograd.grad(v, list(model.parameters()), retain_graph=True)
                for v in losses.values()
            ]
            gradients.append(torch.stack([torch.cat([g.flatten() for g in r]) for r in rows]))
            recorder.backward(losses)
            with torch.no_grad():
                for p, *own in zip(model.parameters(), *rows, strict=True):
                    p.sub_(0.1 * sum(c * g for c, g in zip(along, own, strict=True)))
                    p.grad = None
    return Trajectory(path), torch.stack(gradients)


def test_cosines_across_steps_and_tasks(tmp_path: Path) -> None:
    run, gradients = record(tmp_path / "run.h5")
    a, b = (gradients[:, t] / gradients[:, t].norm(dim=1, keepdim=True) for t in (0, 1))
    assert np.allclose(similarity_across_time(run, "a"), a @ a.T, atol=0.1)
    assert np.allclose(similarity_across_time(run, "a", other_task="b"), a @ b.T, atol=0.1)
    table = run.table("sketches")
    assert np.allclose(table["norm"], gradients.norm(dim=2), rtol=1e-5)
    sign, mean = stiffness(run, "a", lag=1)
    assert sign == (a @ a.T).diagonal(1).sign().mean().item()
    assert mean == pytest.approx((a @ a.T).diagonal(1).mean().item(), abs=0.1)
    assert np.isnan(stiffness(run, "a", lag=9)).all()


def test_sketches_that_differ_are_not_compared(tmp_path: Path) -> None:
    run, _ = record(tmp_path / "run.h5", 32)
    other, _ = record(tmp_path / "other.h5", 32, 1)
    with pytest.raises(TrajlabError, match="different kind, size, seed or parameters"):
        similarity_across_time(run, "a", other)
    with pytest.raises(TrajlabError, match="has no task 'c'"):
        similarity_across_time(run, "c")
    with pytest.raises(TrajlabError, match="size=0 is out of range; give a whole number from 1 on"):
        probes.GradientSketch(size=0)


def test_zero_vectors_have_no_cosine() -> None:
    assert np.isnan(sketch_cosine(np.zeros((1, 3)), np.ones((2, 3)))).all()


def test_the_step_that_was_taken_is_seen_whatever_made_it(tmp_path: Path) -> None:
    """The gradients are summed, but the weights go up the first one and ignore the second."""
    run, gradients = record(tmp_path / "run.h5", along=(-1.0, 0.0))
    went = -gradients[:-1, 0]
    for number, task in enumerate("ab"):
        own = gradients[:-1, number]
        expected = (own * went).sum(1) / own.norm(dim=1) / went.norm(dim=1)
        step, cosine = cosine_to_step(run, task)
        assert step.tolist() == [0, 1, 2]
        assert np.allclose(cosine, expected, atol=0.1)
    tasks = conflict([run]).tasks.set_index("task")
    assert tasks.loc["a", "cosine_to_step"] == pytest.approx(-1, abs=1e-3)
    assert (tasks["cosine_to_update"] > 0).all()  # to the weighted sum, which was not the step


def test_likeness_across_time_is_a_table_of_lags(tmp_path: Path) -> None:
    run, _ = record(tmp_path / "run.h5")
    rows = conflict([run]).across_time.set_index(["task", "lag"])
    assert rows.index.tolist() == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    for (task, lag), row in rows.iterrows():
        assert (row["mean_sign"], row["mean_cosine"]) == stiffness(run, task, lag=lag)
        assert row["steps_apart"] == lag


@pytest.mark.parametrize(("steps", "lags"), [(2, [1]), (3, [1, 2]), (4, [1, 2]), (5, [1, 2, 4])])
def test_the_longest_lag_is_from_the_first_step_to_the_last(
    tmp_path: Path, steps: int, lags: list[int]
) -> None:
    run, _ = record(tmp_path / "run.h5", size=64, steps=steps)
    assert time_frame(run, ["a"])["lag"].tolist() == lags
