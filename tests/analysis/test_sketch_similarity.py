"""Similarity across time, from the file alone, against the gradients themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trajlab import Recorder, TrajlabError, probes
from trajlab.analysis.sketch_similarity import similarity_across_time, sketch_cosine, stiffness
from trajlab.store import Trajectory


def record(path: Path, size: int = 4096, seed: int = 0) -> tuple[Trajectory, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Linear(40, 30)
    gradients = []
    with Recorder(
        path, model, tasks=["a", "b"], shared=model, probes=[probes.GradientSketch(1, size, seed)]
    ) as recorder:
        for _ in range(4):
            x = torch.randn(3, 40) + 1
            losses = {"a": model(x).pow(2).mean(), "b": model(x).abs().mean()}
            rows = [
                torch.autograd.grad(v, list(model.parameters()), retain_graph=True)
                for v in losses.values()
            ]
            gradients.append(torch.stack([torch.cat([g.flatten() for g in r]) for r in rows]))
            recorder.backward(losses)
            with torch.no_grad():
                for p in model.parameters():
                    p.sub_(0.1 * p.grad)
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
    with pytest.raises(TrajlabError, match="different size, seed or parameters"):
        similarity_across_time(run, "a", other)
    with pytest.raises(TrajlabError, match="has no task 'c'"):
        similarity_across_time(run, "c")
    with pytest.raises(TrajlabError, match="positive size"):
        probes.GradientSketch(size=0)


def test_zero_vectors_have_no_cosine() -> None:
    assert np.isnan(sketch_cosine(np.zeros((1, 3)), np.ones((2, 3)))).all()
