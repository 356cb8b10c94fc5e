"""What is recorded of evaluations; those of one step that take each other's place are told."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.models import TwoHeads
from tests.record.loops import batches, losses, recorder
from trajlab import Recorder, TrajlabError
from trajlab.record.evaluations import (
    Evaluations,
    clock_row,
    evaluation_row,
    evaluation_table,
)
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


def test_one_number_of_one_task_is_an_evaluation_and_none_is_not(
    path: Path, model: TwoHeads
) -> None:
    with recorder(path, model, shared=model.trunk) as r:
        with pytest.raises(TrajlabError, match="the evaluation holds no number"):
            r.evaluate("test", {"left": {}, "right": {}})
        r.evaluate("test", {"left": {}, "right": {"loss": 0.5}})
    np.testing.assert_array_equal(
        Trajectory(path).table("evaluations/test")["loss"], [[np.nan, 0.5]]
    )


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


def test_evaluations_hold_what_training_has_spent(path: Path, model: TwoHeads) -> None:
    values = {"left": {"loss": 1.0}, "right": {"loss": 2.0}}
    with recorder(path, model) as r:
        r.evaluate("train", values)
        for step, batch in enumerate(batches(2), 1):
            r.backward(losses(model, batch))
            r.evaluate("test", values, tokens=1e9 * step, samples=torch.tensor(5 * step))
        r.evaluate("test", values, step=3)
    table = Trajectory(path).table("evaluations/test")
    assert table.axes("tokens") == ("step",)
    assert table["tokens"].tolist() == pytest.approx([1e9, 2e9, np.nan], nan_ok=True)
    assert table["samples"][:2].tolist() == [5, 10]
    assert (np.diff(table["wall_time"]) >= 0).all()
    assert "tokens" not in Trajectory(path).table("evaluations/train")


@pytest.mark.parametrize(
    ("clocks", "sentence"),
    [
        ({"tokens": -1}, "tokens is -1; give what was spent since training began"),
        ({"tokens": "many"}, "tokens is 'many'; give one number"),
        ({"epoch": 3}, "'epoch' is recorded by another way already; set recorder.epoch"),
        ({"loss": 3}, "'loss' is recorded by another way already"),
    ],
)
def test_what_is_no_sum_of_what_was_spent_is_one_sentence(
    path: Path, model: TwoHeads, clocks: dict[str, Any], sentence: str
) -> None:
    with recorder(path, model) as r, pytest.raises(TrajlabError, match=sentence):
        r.evaluate("test", {"left": {"loss": 1.0}}, **clocks)
    assert "evaluations/test" not in Trajectory(path).tables


def test_a_task_that_lacks_is_told_once_of_each_split_and_set_of_tasks(
    path: Path, model: TwoHeads, caplog: pytest.LogCaptureFixture
) -> None:
    both = {"left": {"loss": 1.0}, "right": {"loss": 1.0}}
    told = []
    with recorder(path, model) as r:
        for split, tasks in (
            ("test", ["left", "right"]),
            ("test", ["left"]),
            ("test", ["left"]),
            ("train", ["left"]),
            ("test", ["right"]),
        ):
            caplog.clear()
            r.backward(losses(model, batches(1)[0]))
            r.evaluate(split, {task: both[task] for task in tasks})
            told.append([m for m in caplog.messages if "lacks" in m])
    assert [len(messages) for messages in told] == [0, 1, 0, 1, 1]
    assert told[1][0].startswith("an evaluation on test lacks right, whose numbers are NaN")


def rows_of(evaluations: list[tuple[int, float, int]]) -> tuple[list[Any], list[str]]:
    """Record a loss of one task at (step, loss, backward passes since); return rows and causes."""
    written: list[Any] = []
    told: list[str] = []
    rows: Any = SimpleNamespace(
        declare=lambda table: table, append=lambda table, row: written.append((table, row))
    )
    made = Evaluations(["left"], (), rows)
    made._warn = lambda cause, *_: told.append(cause)  # type: ignore[method-assign]
    for step, loss, waiting in evaluations:
        moment: Any = SimpleNamespace(step=step, epoch=0, wall_time=0.0)
        made.record("test", made.row("test", {"left": {"loss": loss}}), moment, waiting)
    return written, told


@pytest.mark.parametrize(
    ("evaluations", "causes"),
    [
        ([(1, 0.5, 0), (2, 0.5, 0)], []),
        ([(1, 0.5, 0), (1, 0.5, 0)], []),
        ([(1, 0.5, 0), (1, 0.4, 0)], ["again"]),
        ([(1, 0.5, 0), (1, 0.5, 1)], ["stands"]),  # weights seem to stand still
        ([(1, 0.5, 2), (1, 0.5, 2)], []),
        ([(1, 0.5, 2), (1, 0.4, 2)], ["again"]),
        ([(1, 0.5, 2), (1, 0.4, 1)], ["again"]),
        ([(1, 0.5, 2), (1, 0.5, 1), (1, 0.5, 2)], ["stands"]),  # since the last one
        ([(1, 0.5, 2), (2, 0.5, 3)], []),
    ],
)
def test_an_evaluation_at_the_step_of_the_last_is_told_for_what_it_is(
    evaluations: list[tuple[int, float, int]], causes: list[str]
) -> None:
    written, told = rows_of(evaluations)
    assert told == causes
    assert [(table, row["step"], row["loss"]) for table, row in written] == [
        ("evaluations/test", step, [loss]) for step, loss, _ in evaluations
    ]


def test_that_one_takes_another_s_place_is_said_once_of_a_cause_and_split(
    path: Path, model: TwoHeads, caplog: pytest.LogCaptureFixture
) -> None:
    with recorder(path, model) as r:
        for split in ("test", "test", "test", "train", "train"):
            r.evaluate(split, {task: {"loss": np.random.rand()} for task in ("left", "right")})  # noqa: NPY002
    told = [message for message in caplog.messages if "takes the place of another" in message]
    assert [message.split()[3] for message in told] == ["test", "train"]
    assert "at the same step 0 (said once): give all tasks and metrics" in told[0]


def test_a_row_holds_a_number_a_task_and_nan_where_one_is_lacking() -> None:
    values = {"right": {"loss": torch.tensor([2.0]), "f1": 1}, "left": {"loss": np.float32(0.5)}}
    row = evaluation_row(values, ["left", "right", "top"])
    assert row.keys() == {"loss", "f1"}
    assert row["loss"] == pytest.approx([0.5, 2.0, math.nan], nan_ok=True)
    assert row["f1"] == pytest.approx([math.nan, 1.0, math.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"left": 0.5}, "the evaluation of task 'left' is 0.5; give {task: {metric: value}}"),
        (0.5, "the evaluation is 0.5; give {task: {metric: value}}"),
        ({"top": {"loss": 1.0}}, "task 'top' is evaluated but not declared; .*beside left, right"),
        ({"left": {"step": 1.0}}, "'step' is a column of trajlab's own"),
        ({"left": {"item_byte": 1.0}}, "'item_byte' is a column of trajlab's own"),
        ({"left": {"loss": "0.5"}}, "loss of task 'left' is '0.5'; give one number a task and"),
        ({"left": {"loss": b"1"}}, "loss of task 'left' is b'1'; give one number a task and"),
        ({"left": {"loss": torch.ones(2)}}, "loss of task 'left' is tensor.*; give one number"),
        ({"left": {"loss": None}}, "loss of task 'left' is None; give one number a task"),
    ],
)
def test_what_is_no_evaluation_is_one_sentence(values: Any, sentence: str) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        evaluation_row(values, ["left", "right"])


@pytest.mark.parametrize("name", ["step", "task", "epoch", "wall_time", "items", "item_byte"])
def test_columns_of_our_own_are_neither_metrics_nor_clocks(name: str) -> None:
    with pytest.raises(TrajlabError, match=f"'{name}' is a column of trajlab's own"):
        evaluation_row({"left": {"loss": 1.0}, "right": {name: 1.0}}, ["left", "right"])
    with pytest.raises(TrajlabError, match=f"'{name}' is recorded by another way already"):
        clock_row({name: 1.0}, {"loss": [1.0]})


def test_a_split_is_one_of_three() -> None:
    for split in ("train", "validation", "test"):
        assert evaluation_table(split, ["left"], {"loss": [1.0]}, ()).name == f"evaluations/{split}"
    with pytest.raises(TrajlabError, match="'dev' is no split; evaluate on train, validation, tes"):
        evaluation_table("dev", ["left"], {"loss": [1.0]}, ())


@pytest.mark.parametrize("value", [math.inf, math.nan, -1e-9])
def test_what_was_spent_is_finite_and_from_0_on(value: float) -> None:
    assert clock_row({"tokens": 0}, {}) == {"tokens": 0.0}
    with pytest.raises(TrajlabError, match="give what was spent since training began"):
        clock_row({"tokens": value}, {})
