"""What a run recorded: its metrics, quantities, losses and clocks, each with what it is not."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.analysis.runs.held import Held, run
from trajlab.analysis.interface.axis import TRAINING_LOSS, Axis
from trajlab.analysis.runs.quantities import over_axis, recorded
from trajlab.analysis.runs.recorded import (
    check,
    check_axis,
    check_metric,
    check_quantity,
    clock_columns,
    has_axis,
    higher_is_better,
    less_is_better,
    metrics,
    quantities,
    task_column,
    unevaluated,
)
from trajlab.errors import TrajlabError
from trajlab.store import Column

NAN = np.nan
TASK, RHO = ("step", "task"), ("step", "task", "rho")
LESS = {"higher_is_better": False}
TEST = Held(
    "evaluations/test",
    [0, 3],
    [
        (Column("epoch", dtype="int64"), [0, 1]),
        (Column("tokens"), [0.0, 9.0]),
        (Column("loss", TASK, attributes=LESS), [[2.0, 3.0], [1.0, 1.5]]),
        (Column("accuracy", TASK), [[0.1, NAN], [0.2, NAN]]),
        (Column("accuracy_se", TASK), [[0.1, 0.1]] * 2),
        (Column("error", TASK, attributes=LESS), [[9.0, 8.0], [7.0, 6.0]]),
        (Column("lone_se", TASK), [[0.1, 0.1]] * 2),
        (Column("by_class", ("step", "task", "class")), np.zeros((2, 2, 1))),
        (Column("items", TASK, "int64"), [[5, 5]] * 2),
        (Column("correct", TASK, "uint8"), [[1, 1]] * 2),
    ],
    **{"class": ["a"]},
)
LOSSES = Held(
    "losses",
    [1, 2, 3],
    [
        (Column("loss", TASK), [[3.0, 4.0]] * 3),
        (Column("learning_rate"), [0.1] * 3),
        (Column("tokens"), [1.0, 2.0, 3.0]),
        (Column("micro_step", dtype="int64"), [0] * 3),
        (Column("loss_scale"), [1.0] * 3),
        (Column("skipped", dtype="bool"), [False] * 3),
        (Column("reason", dtype="str"), [""] * 3),
    ],
)
SHARPNESS = Held(
    "sharpness",
    [0, 3],
    [
        (Column("value", RHO), [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]),
        (Column("saturated", RHO, "bool"), np.zeros((2, 2, 2), bool)),
        (Column("flops"), [1.0, 2.0]),
        (Column("sketch", ("step", "k")), np.zeros((2, 1))),
        (Column("steep", TASK), [[1.0, 2.0], [3.0, 4.0]]),
    ],
    rho=[1e-2, 1e-3],
    k=[0],
)
TRAIN = Held("evaluations/train", [0, 3], [(Column("loss", TASK), [[4.0, 5.0], [2.0, 1.0]])])
RUN = run(LOSSES, SHARPNESS, TEST, TRAIN)
ELSEWHERE = run(Held("evaluations/validation", [3], [(Column("f1", TASK), [[0.5, 0.5]])]))


def test_metrics_are_numbers_of_a_task_with_a_value_and_the_loss_where_there_is_no_other():
    assert metrics([RUN], "test") == ["accuracy", "error", "lone_se"]
    assert metrics([RUN], "test", "right") == ["error", "lone_se"]
    assert metrics([RUN], "test", "left") == ["accuracy", "error", "lone_se"]
    assert metrics([RUN], "train") == ["loss"]
    assert metrics([RUN, ELSEWHERE], "validation") == ["f1"]
    for name, more in (("accuracy", True), ("error", False), ("loss", False), ("f1", True)):
        assert higher_is_better(RUN, "test", name) == more
        assert less_is_better([ELSEWHERE, RUN], "test", name) != more
    assert not higher_is_better(RUN, "train", "loss")  # though nothing is said of it
    for name in ("loss", "error"):
        check_metric(name, [RUN], "test")
    with pytest.raises(TrajlabError, match=r"'f1' on the test split; there is accuracy, error, lo"):
        check_metric("f1", [RUN, ELSEWHERE], "test")


def test_a_column_of_a_task_is_that_task_s():
    step, values = task_column(RUN, "evaluations/test", "error", "right")
    assert (step.tolist(), values.tolist()) == ([0, 3], [8, 6])
    for missing in (
        (RUN, "evaluations/validation", "error", "left"),
        (RUN, "evaluations/test", "f1", "left"),
        (RUN, "evaluations/test", "tokens", "left"),
        (RUN, "evaluations/test", "error", "top"),
    ):
        assert [len(column) for column in task_column(*missing)] == [0, 0]


def test_quantities_are_numbers_a_step_or_a_step_and_task_that_are_no_metrics():
    numbers = ["loss", "learning_rate", "tokens", "micro_step", "loss_scale"]
    named = [*(f"losses/{name}" for name in numbers), "sharpness/value", "sharpness/flops"]
    assert quantities([RUN]) == quantities([ELSEWHERE, RUN]) == [*named, "sharpness/steep"]
    check_quantity("sharpness/steep", [RUN])
    with pytest.raises(TrajlabError, match=r"named 'sharpness/sketch'; there is losses/loss, "):
        check_quantity("sharpness/sketch", [RUN])
    with pytest.raises(TrajlabError, match=r"named 'losses/loss'; there is none"):
        check_quantity("losses/loss", [ELSEWHERE])
    for task, name, expected in (
        ("right", "sharpness/value", [4, 8]),  # at the paper's rho, the second
        ("left", "sharpness/steep", [1, 3]),
        ("left", "sharpness/flops", [1, 2]),  # the same for all tasks
        ("top", "sharpness/flops", [1, 2]),
        ("top", "sharpness/value", []),
        ("left", "sharpness/se", []),
        ("left", "fisher/trace", []),
    ):
        step, values = recorded(RUN, task, name)
        assert values.tolist() == expected
        assert step.tolist() == [0, 3][: len(expected)]
    other = Held("sharpness", [3], [(Column("value", RHO), [[[1.0, 2.0], [3.0, 4.0]]])], rho=[1, 2])
    assert recorded(run(other), "right", "sharpness/value")[1].tolist() == [3]  # else at the first
    read = over_axis(RUN, "right", "sharpness/value")
    assert (read.step.tolist(), read.score.tolist(), read.train_loss.tolist()) == ([3], [8], [1])
    assert over_axis(RUN, "right", "sharpness/value", Axis("tokens")).train_loss == [1 / 9]
    assert not over_axis(RUN, "right", "sharpness/value", Axis("hours")).step.size
    assert not over_axis(RUN, "right", "sharpness/se").step.size


def test_losses_and_clocks_to_compare_at():
    for axis, there in (
        (TRAINING_LOSS, True),
        (Axis("step"), True),
        (Axis("tokens"), True),
        (Axis("sharpness/flops"), True),
        (Axis("losses/flops"), False),
        (Axis("steep"), False),  # a number of each task
        (Axis(loss="test/error"), True),
        (Axis(loss="losses"), True),
        (Axis(loss="validation/loss"), False),
    ):
        assert has_axis(RUN, axis) == there
        assert has_axis(ELSEWHERE, axis) == (axis.x == "step")
    assert list(clock_columns(RUN, "tokens")) == [
        ("evaluations/test", "tokens"),
        ("losses", "tokens"),
    ]
    assert list(clock_columns(RUN, "losses/tokens")) == [("losses", "tokens")]
    for axis, words in (
        (Axis(loss="train/nll"), r"a loss named 'train/nll' to .* there is test/loss, "),
        (Axis("hours"), r"a clock named 'hours' to .* there is step, tokens, sharpness/flops, epo"),
        (Axis(loss="test/accuracy"), "test/accuracy is no loss to compare at: more of it is bet"),
    ):
        with pytest.raises(TrajlabError, match=words):
            check_axis([ELSEWHERE, RUN], axis)
    with pytest.raises(TrajlabError, match=r"is test/loss, test/error, train/loss, losses$"):
        check_axis([RUN], Axis(loss="train/nll"))
    with pytest.raises(TrajlabError, match=r"sharpness/flops, epoch$"):
        check_axis([RUN], Axis("hours"))
    with pytest.raises(TrajlabError, match=r"there is none$"):
        check_axis([ELSEWHERE], Axis(loss="train/nll"))
    check_axis([ELSEWHERE, RUN], Axis(loss="test/error"))


def asked(metric=None, split="test", axis=TRAINING_LOSS):
    return SimpleNamespace(metric=metric, split=split, axis=axis)


def test_what_cannot_be_compared_is_said_of_the_split_and_of_what_is_equal():
    both = "no run was evaluated on the training set and on the"
    for runs, split, axis, reason in (
        ([RUN], "test", TRAINING_LOSS, ""),
        ([RUN], "validation", TRAINING_LOSS, f"{both} validation split"),
        ([ELSEWHERE], "validation", TRAINING_LOSS, f"{both} validation split"),
        ([ELSEWHERE, RUN], "validation", TRAINING_LOSS, f"{both} validation split"),
        ([ELSEWHERE, RUN], "test", TRAINING_LOSS, ""),
        ([ELSEWHERE], "validation", Axis("step"), ""),
        (
            [ELSEWHERE],
            "validation",
            Axis("tokens"),
            "no run was evaluated on the validation split and recorded its tokens",
        ),
    ):
        assert unevaluated(runs, split, axis) == reason
        if reason and axis == TRAINING_LOSS:
            with pytest.raises(TrajlabError, match=reason):
                check(runs, asked(split=split))
    check([RUN], asked())
    check([RUN], asked("sharpness/value", "validation"))  # which has no split
    for wrong, words in (
        (asked("f1"), "metric 'f1' on the test split"),
        (asked("accuracy", "train"), "metric 'accuracy' on the train split"),
        (asked("losses/f1"), "one number a step named 'losses/f1'"),
        (asked("sharpness/value", axis=Axis("hours")), "clock named 'hours'"),
    ):
        with pytest.raises(TrajlabError, match=words):
            check([RUN], wrong)
