"""Several backward passes to one update."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, joined, losses, same, total, true_gram
from trajlab import Recorder, TrajlabError, probes
from trajlab.store import Trajectory


def train(
    path: Path, passes: int, probe: probes.TaskGradients, steps: int = 3, width: int = 8
) -> TwoHeads:
    """Train on batches of 8 in groups of `passes`; on joined batches where that is 1."""
    model = TwoHeads(width)
    optimizer = torch.optim.SGD(model.parameters(), 0.3, momentum=0.9)
    parts = batches(4 * steps)
    if passes == 1:
        parts = [joined(parts[i : i + 4]) for i in range(0, 4 * steps, 4)]
    with Recorder(
        path, model, tasks=TASKS, shared=model.trunk, optimizer=optimizer, probes=[probe]
    ) as recorder:
        for i, batch in enumerate(parts):
            recorder.backward(losses(model, batch), accumulate=passes)
            if (i + 1) % passes == 0:
                optimizer.step()
                optimizer.zero_grad()
    return model


def test_four_micro_batches_are_one_batch_of_four_times_the_size(tmp_path: Path) -> None:
    train(tmp_path / "four.h5", 4, probes.TaskGradients())
    train(tmp_path / "one.h5", 1, probes.TaskGradients())
    four, one = Trajectory(tmp_path / "four.h5"), Trajectory(tmp_path / "one.h5")
    assert four.table("gradients")["step"].tolist() == [0, 1, 2]
    assert np.allclose(four.gram(), one.gram(), rtol=1e-5)
    assert np.allclose(four.gram()[0], true_gram(TwoHeads(), joined(batches(4))), rtol=1e-5)
    assert four.table("gradients").attributes["method"] == "exact"
    micro = four.table("losses")
    assert micro["step"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert micro["micro_step"].tolist() == [0, 1, 2, 3] * 3
    whole = one.table("losses")["loss"]
    assert np.allclose(micro["loss"].reshape(3, 4, 2).mean(1), whole, rtol=1e-5)


def test_weights_are_those_of_the_loop_without_recorder(tmp_path: Path) -> None:
    recorded = train(tmp_path / "run.h5", 4, probes.TaskGradients(every=2, update=True))
    plain = TwoHeads()
    optimizer = torch.optim.SGD(plain.parameters(), 0.3, momentum=0.9)
    for i, batch in enumerate(batches(12)):
        (total(losses(plain, batch)) / 4).backward()
        if i % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
    assert same(recorded, plain)
    assert Trajectory(tmp_path / "run.h5").table("gradients")["step"].tolist() == [0, 2]


def test_gradients_that_do_not_fit_are_sketched(tmp_path: Path) -> None:
    train(tmp_path / "run.h5", 4, probes.TaskGradients(memory=0), width=128)
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("gradients").attributes["method"] == "sketch"
    true = true_gram(TwoHeads(128), joined(batches(4))).numpy()
    norms = np.sqrt(np.outer(true.diagonal(), true.diagonal()))
    assert np.all(np.abs(run.gram()[0] - true) < 4 / 64 * norms)
    assert not np.allclose(run.gram()[0], true, rtol=1e-6)


@pytest.mark.parametrize("way", ["observe", "no optimizer"])
def test_other_ways_to_accumulate(tmp_path: Path, way: str) -> None:
    model = TwoHeads()
    parts = batches(4)
    with Recorder(
        tmp_path / "run.h5", model, tasks=TASKS, shared=model.trunk, probes=[probes.TaskGradients()]
    ) as recorder:
        for batch in parts:
            if way == "observe":
                recorder.observe(losses(model, batch), step=7, accumulate=4)
            else:
                recorder.backward(losses(model, batch), accumulate=4)
        assert recorder.step == (8 if way == "observe" else 1)
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("gradients")["step"].tolist() == [7 if way == "observe" else 0]
    assert np.allclose(run.gram()[0], true_gram(model, joined(parts)), rtol=1e-5)


def test_task_that_some_micro_batches_lack_counts_as_zero_there(tmp_path: Path) -> None:
    model = TwoHeads()
    first, second = batches(2)
    with Recorder(
        tmp_path / "run.h5", model, tasks=TASKS, shared=model.trunk, probes=[probes.TaskGradients()]
    ) as recorder:
        recorder.backward({"left": losses(model, first)["left"]}, accumulate=2)
        recorder.backward({"left": losses(model, second)["left"]}, accumulate=2)
        recorder.backward(losses(model, first), accumulate=2)
        recorder.backward({"left": losses(model, second)["left"]}, accumulate=2)
    gram = Trajectory(tmp_path / "run.h5").gram()
    assert np.isnan(gram[0]).tolist() == [[False, True], [True, True]]
    assert gram[1, 1, 1] == pytest.approx(float(true_gram(model, first)[1, 1]) / 4, rel=1e-5)


def test_update_that_is_never_made_leaves_no_row(tmp_path: Path) -> None:
    train(tmp_path / "run.h5", 5, probes.TaskGradients())  # 12 passes: two of a third update
    assert Trajectory(tmp_path / "run.h5").table("gradients")["step"].tolist() == [0, 1]


def test_undeclared_accumulation_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = TwoHeads()
    optimizer = torch.optim.SGD(model.parameters(), 0.3)
    with (
        caplog.at_level(logging.WARNING, "trajlab"),
        Recorder(
            tmp_path / "run.h5",
            model,
            tasks=TASKS,
            shared=model.trunk,
            optimizer=optimizer,
            probes=[probes.TaskGradients()],
        ) as recorder,
    ):
        for batch in batches(4):
            recorder.backward(losses(model, batch))
        optimizer.step()
    assert [r.message for r in caplog.records] == [
        "trajlab measures the first of several backward passes of step 0 only; pass accumulate= to "
        "measure them together, where they add up to one update"
    ]


def test_no_number_of_passes_is_one_sentence(tmp_path: Path) -> None:
    model = TwoHeads()
    with (
        Recorder(tmp_path / "run.h5", model, tasks=TASKS, shared=model.trunk) as recorder,
        pytest.raises(
            TrajlabError, match="accumulate=0 is out of range; give a whole number from 1 on"
        ),
    ):
        recorder.backward(losses(model, batches(1)[0]), accumulate=0)
