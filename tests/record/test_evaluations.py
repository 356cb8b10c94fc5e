"""Evaluations of one step that take each other's place: told, unless they are the same."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import TwoHeads
from tests.record.loops import batches, losses, recorder
from trajlab import Recorder, TrajlabError
from trajlab.store import Trajectory


@pytest.mark.parametrize(("accuracy", "told"), [(0.5, False), (0.6, True)])
def test_another_evaluation_of_a_step_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, accuracy: float, told: bool
) -> None:
    model = TwoHeads()
    with Recorder(tmp_path / "run.h5", model, tasks=["left"], shared=model.trunk) as recorder:
        recorder.evaluate("test", {"left": {"loss": float("nan"), "accuracy": 0.5}})
        recorder.epoch = 3  # another epoch alone makes no other evaluation
        recorder.evaluate("test", {"left": {"loss": float("nan"), "accuracy": accuracy}})
    assert ("takes the place of another" in caplog.text) == told
    table = Trajectory(tmp_path / "run.h5").table("evaluations/test")
    assert table["accuracy"].tolist() == [[accuracy]]
    assert table["epoch"].tolist() == [3]


def test_other_columns_are_another_evaluation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = TwoHeads()
    with Recorder(tmp_path / "run.h5", model, tasks=["left"], shared=model.trunk) as recorder:
        for values in ({"loss": 1.0}, {"loss": 1.0, "accuracy": 0.5}):
            recorder.evaluate("test", {"left": values})
    assert "give all tasks and metrics of a step in one call" in caplog.text


def test_evaluations_hold_metrics_and_their_direction(path: Path, model: TwoHeads) -> None:
    with recorder(path, model, shared=model.trunk, lower_is_better=["mae"]) as r:
        r.evaluate("test", {"left": {"loss": 0.5, "accuracy": 81.5}})
        r.backward(losses(model, batches(1)[0]))
        r.evaluate("test", {"left": {"loss": 0.25}, "right": {"mae": torch.tensor(0.125)}})
    table = Trajectory(path).table("evaluations/test")
    nan = math.nan
    for name, expected, higher in (
        ("loss", [[0.5, nan], [0.25, nan]], False),
        ("accuracy", [[81.5, nan], [nan, nan]], True),
        ("mae", [[nan, nan], [nan, 0.125]], False),
    ):
        assert np.array_equal(table[name], expected, equal_nan=True)
        attributes = Trajectory(path).table("evaluations/test").column_attributes(name)
        assert attributes["higher_is_better"] == higher


def test_flags_of_items_are_recorded_for_the_tasks_that_have_them(
    path: Path, model: TwoHeads
) -> None:
    left, right = torch.arange(11) % 3 == 0, np.arange(9) % 2 == 0
    with recorder(path, model, shared=model.trunk) as r:
        r.evaluate("test", {"left": {"loss": 1.0}})
        r.backward(losses(model, batches(1)[0]))
        r.evaluate(
            "test",
            {"left": {"loss": 1.0, "correct": left}, "right": {"loss": 2.0, "correct": right}},
        )
        r.backward(losses(model, batches(1)[0]))
        r.evaluate("test", {"right": {"loss": 2.0, "correct": right}})
        with pytest.raises(TrajlabError, match="2 labels of axis item_byte, not 22"):
            r.evaluate("test", {"left": {"correct": np.ones(170, bool)}})
    run = Trajectory(path)
    assert run.table("evaluations/test")["items"].tolist() == [[-1, -1], [11, 9], [-1, 9]]
    found = run.correct("test")
    assert found.mask.sum(axis=2).tolist() == [[11, 11], [0, 2], [11, 2]]
    assert found[1, 0].tolist() == left.tolist()
    for row in (1, 2):
        assert found[row, 1].compressed().tolist() == right.tolist()
    with pytest.raises(TrajlabError, match="no table 'evaluations/train'"):
        run.correct("train")
