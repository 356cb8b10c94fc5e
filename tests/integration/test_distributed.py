"""Two processes on gloo."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.integration.distributed import DIES_AT, STEPS, global_batch, ranks
from tests.models import TwoHeads
from tests.processes import torchrun
from tests.record.loops import TASKS, joined, losses, recorder_of, true_gram
from trajlab import Recorder, TrajlabError, probes
from trajlab.store import Trajectory


def alone(path: Path, passes: int) -> tuple[Trajectory, TwoHeads]:
    """Train on the concatenated batches in this process."""
    model = TwoHeads(64)
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    chosen = probes.TaskGradients(update=True), probes.GradientSketch(every=1)
    with recorder_of(path, model, optimizer, *chosen) as recorder:
        for step in range(STEPS):
            recorder.backward(losses(model, global_batch(step)), accumulate=passes)
            if step % passes == passes - 1:
                optimizer.step()
                optimizer.zero_grad()
    return Trajectory(path), model


@pytest.mark.parametrize("kind", ["ddp", "fsdp", "ddp-accumulated", "fsdp-accumulated"])
def test_global_batch(tmp_path: Path, kind: str) -> None:
    passes = 2 if kind.endswith("accumulated") else 1
    ranks(kind, tmp_path / "run.h5")
    one, model = alone(tmp_path / "one.h5", passes)
    run = Trajectory(tmp_path / "run.h5")
    assert run.status == "complete"
    assert run.shared == one.shared
    assert np.allclose(run.gram(), one.gram(), rtol=1e-5)
    first = joined([global_batch(step) for step in range(passes)])
    assert np.allclose(run.gram()[0], true_gram(TwoHeads(64), first), rtol=1e-5)
    ours, theirs = run.table("gradients"), one.table("gradients")
    assert ours["step"].tolist() == theirs["step"].tolist()
    for column in ("update_dot", "update_norm"):
        assert np.allclose(ours[column], theirs[column], rtol=1e-4)
    if kind.startswith("ddp"):
        sketches, expected = run.table("sketches"), one.table("sketches")
        assert sketches["step"].tolist() == expected["step"].tolist()
        for column in ("sketch", "weights", "weights_norm"):
            assert np.allclose(sketches[column], expected[column], rtol=1e-4, atol=1e-6)
    assert np.allclose(run.table("losses")["loss"], one.table("losses")["loss"], rtol=1e-5)
    assert run.table("evaluations/test")["step"].tolist() == [STEPS // passes]
    weights = torch.load(f"{tmp_path}/run.h5.weights")
    for name, value in model.state_dict().items():
        assert torch.allclose(weights[name], value, atol=1e-6)
    assert [p.name for p in tmp_path.glob("run.h5*") if p.suffix == ".h5"] == ["run.h5"]


def test_large_models_are_sketched(tmp_path: Path) -> None:
    ranks("ddp-sketched", tmp_path / "run.h5")
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("gradients").attributes["method"] == "sketch"
    true = true_gram(TwoHeads(64), global_batch(0)).numpy()
    norms = np.sqrt(np.outer(true.diagonal(), true.diagonal()))
    assert (np.abs(run.gram()[0] - true) < 4 / 64 * norms).all()


@pytest.mark.parametrize("rank", [0, 1])
def test_killed_rank_leaves_a_readable_file(tmp_path: Path, rank: int) -> None:
    script = Path(__file__).with_name("distributed.py")
    torchrun(script, "ddp", tmp_path / "run.h5", rank, expected=1)
    run = Trajectory(tmp_path / "run.h5")
    assert run.status == "recording"
    steps = run.table("losses")["step"]
    assert steps.tolist() == list(range(len(steps)))
    assert len(steps) > DIES_AT
    assert len(run.gram()) > DIES_AT
    assert np.isfinite(run.gram()).all()


def test_epochs_are_no_schedule_of_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trajlab.record.probes.probe.processes", lambda: 2)
    model = TwoHeads()
    with pytest.raises(TrajlabError, match="would wait for processes that do not evaluate"):
        Recorder(
            tmp_path / "run.h5", model, tasks=TASKS, probes=[probes.TaskGradients(every="epoch")]
        )
