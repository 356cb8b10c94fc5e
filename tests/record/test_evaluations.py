"""Evaluations of one step that take each other's place: told, unless they are the same."""

from pathlib import Path

import pytest

from tests.models import TwoHeads
from trajlab import Recorder
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
