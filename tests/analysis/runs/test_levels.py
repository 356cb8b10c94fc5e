"""Losses and clocks at steps, at the edges of what is read between two of them."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.analysis.runs import held
from trajlab import TrajlabError
from trajlab.analysis.interface.axis import TRAINING_LOSS, Axis
from trajlab.analysis.runs.levels import breaks_off, clock, clock_at, loss_at, running_loss
from trajlab.analysis.runs.placing import diverged, level_errors, levels, told_at
from trajlab.store.schema import Column

NAN, INF = np.nan, np.inf


def at(step, known, loss):
    return loss_at(np.array([step]), np.array(known), np.array(loss, float))[0]


@pytest.mark.parametrize(("decades", "read"), [(0.4999, True), (0.5001, False)])
def test_a_loss_is_read_between_two_at_most_half_a_decade_apart(decades, read):
    for loss in ([1.0, 10**-decades], [10**-decades, 1.0]):
        assert np.isfinite(at(2, [1, 3], loss)) == read
    assert at(2, [1, 3], [1.0, 0.4]) == pytest.approx(0.4**0.5)  # the logarithm is linear
    assert at(3, [1, 5], [1.0, 0.4]) == pytest.approx(0.4**0.5)
    assert at(6, [1, 5, 7, 9], [1.0, 0.9, 0.8, 0.7]) == pytest.approx((0.9 * 0.8) ** 0.5)


def test_nothing_is_read_outside_and_what_was_recorded_stands():
    assert np.isnan(at(0, [1, 3], [1, 1]))
    assert np.isnan(at(4, [1, 3], [1, 1]))
    assert np.isnan(at(2, [1, 3], [1, 0]))
    assert at(3, [1, 3], [1, -2]) == -2
    assert at(1, [1, 3], [1, 1]) == at(3, [1, 3], [1, 1]) == 1
    assert np.isnan(at(1, [], []))


@pytest.mark.parametrize(
    ("loss", "broken"),
    [
        ([1, NAN, 1, NAN], False),  # as long as a pause before
        ([1, NAN, 1, NAN, NAN], True),
        ([NAN, NAN, 1, NAN, NAN], False),
        ([1, 1, NAN], True),
        ([1, INF], True),
        ([INF, 1], False),
        ([1, INF, NAN], True),
        ([NAN], True),
        ([], False),
    ],
)
def test_a_loss_breaks_off_where_it_is_away_for_longer_than_before(loss, broken):
    assert breaks_off(np.array(loss, float)) == broken


def test_a_clock_is_linear_between_its_readings_and_0_is_no_place():
    said = clock_at(np.array([0, 1, 2, 3, 5]), np.array([0, 2, 4]), np.array([0.0, 10.0, 40.0]))
    np.testing.assert_array_equal(said, [NAN, 5, 10, 25, NAN])


class View(dict):
    """A table whose columns are one number a step, but for the loss: one a step and task."""

    @property
    def declared(self):
        axes = {"loss": ("step", "task")}
        names = [name for name in self if name not in ("step", "task")]
        return SimpleNamespace(columns=[Column(name, axes.get(name, ("step",))) for name in names])


def ticking(values):
    """Return a run with one table, whose column `tokens` has these values."""
    view = View(step=np.arange(len(values)), tokens=np.array(values))
    return SimpleNamespace(tables=["losses"], table=lambda name: view, path="run.h5")


def test_a_clock_may_stand_still_but_not_fall():
    step, values = clock(ticking([0, 5, 5, -1, 8]), "tokens")  # a missing integer is -1
    np.testing.assert_array_equal(step, [0, 1, 2, 4])
    np.testing.assert_array_equal(values, [0, 5, 5, 8])
    with pytest.raises(TrajlabError, match=r"tokens of run\.h5 falls at step 2"):
        clock(ticking([0, 5, 4]), "tokens")


@pytest.mark.parametrize(
    ("tables", "steps"),
    [
        (("losses", "evaluations/test", "evaluations/train"), [0, 2, 3]),
        (("losses", "compute"), [0, 1]),
    ],
)
def test_a_clock_is_read_from_all_evaluations_or_else_from_the_first_table(tables, steps):
    ends = dict(zip(tables, (1, 2, 3), strict=False))
    held = {name: View(step=np.array([0, end]), tokens=[0, end]) for name, end in ends.items()}
    run = SimpleNamespace(tables=tables, table=held.__getitem__, path="run.h5")
    assert clock(run, "tokens")[0].tolist() == steps


def test_of_two_readings_at_a_step_the_larger_counts_and_nothing_is_read_outside():
    """A clock goes on while a step's tables are written, in whatever order they are read."""
    held = {
        "evaluations/test": View(step=np.array([1, 3]), tokens=[2.0, 7.0]),
        "evaluations/train": View(step=np.array([1, 2, 3]), tokens=[4.0, 5.0, 6.0]),
        "losses": View(step=np.array([0, 4]), tokens=[0.0, 9.0]),
    }
    for tables in (tuple(held), tuple(held)[::-1]):
        run = SimpleNamespace(tables=tables, table=held.__getitem__, path="run.h5")
        step, values = clock(run, "tokens")
        assert (step.tolist(), values.tolist()) == ([1, 2, 3], [4, 5, 7])
    assert [column.size for column in clock(run, "hours")] == [0, 0]
    said = clock_at(np.array([0, 1, 4]), np.array([1, 3]), np.array([5.0, 7.0]))
    np.testing.assert_array_equal(said, [NAN, 5, NAN])
    assert np.isnan(clock_at(np.array([1]), np.array([]), np.array([]))).all()


def training(losses, epochs):
    """Return a run whose batches had these losses, at these epochs, if any are told."""
    loss = np.array(losses, float)[:, None]
    view = View(step=np.arange(len(losses)), task=["a"], loss=loss)
    view |= {} if epochs is None else {"epoch": np.array(epochs)}
    return SimpleNamespace(tables=["losses"], table=lambda name: view, path="run.h5")


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        ([0, 0, 0, 0, 1, 1, 1, 1], [0.5, 1.5, 3.5, 5.5]),  # four steps back
        ([0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75], [0.5, 1.5, 3.5, 5.5]),
        ([0, 1, 1, 2, 2, 3, 3, 3], [0.5, 2.5, 4.5, 6.5]),  # the usual epoch is of two
        ([0, 1, 2, 2, 2, 2, 3, 3], [1, 3, 5, 7]),  # of one
        ([0] * 8, [0.5, 2.5, 4.5, 6.5]),  # since the step before
        (None, [0.5, 2.5, 4.5, 6.5]),
    ],
)
def test_the_running_loss_is_that_of_the_epoch_before(epochs, expected):
    step = np.array([1, 3, 5, 7])
    read = running_loss(training(range(8), epochs), "a", step)
    np.testing.assert_array_equal(read, expected)


def test_steps_without_the_task_do_not_count_in_its_running_loss():
    run = training([NAN, NAN, 2, 3, 4, 5, NAN, 7], [0] * 8)
    read = running_loss(run, "a", np.array([1, 3, 7]))
    np.testing.assert_array_equal(read, [NAN, 2.5, 16 / 3])
    assert np.isnan(running_loss(run, "b", np.array([1]))).all()


def placed(losses, errors):
    """Return a run whose second task had these training losses, at steps 0, 2, 4, …"""
    columns = [
        (Column(name, ("step", "task")), np.column_stack([np.ones(len(own)), own]))
        for name, own in (("loss", losses), ("loss_se", errors))
    ]
    return held.run(held.Held("evaluations/train", 2 * np.arange(len(losses)), columns))


def test_levels_and_their_errors_are_of_the_task_and_begin_after_step_0():
    step = np.arange(1, 8)
    run = placed([4.0, 2.0, 1.0, -1.0], [0.5, 0.0, 0.1, 0.3])
    made = levels(run, "right", step, TRAINING_LOSS)
    np.testing.assert_allclose(made, [NAN, 2, 2**0.5, 1, NAN, -1, NAN])
    told = told_at(run, "right", step, TRAINING_LOSS)
    assert step[told].tolist() == [2, 4, 6]
    # of the logarithm; an error of 0 is one, and a loss below 0 has none
    errors = np.array([0.5 / 8, 0, 0.05, 0.1, 0.1, 0.1, 0.1]) / np.log(10)
    np.testing.assert_allclose(level_errors(run, "right", step, TRAINING_LOSS), errors)
    assert level_errors(placed([4.0, 2.0], [NAN, -1.0]), "right", step, TRAINING_LOSS) is None
    for axis in (Axis("step"), Axis(loss="losses"), Axis(loss="test/loss")):
        assert level_errors(run, "right", step, axis) is None
    assert told_at(run, "right", step, Axis("step")).all()
    assert levels(run, "right", step, Axis("step")).tolist() == (1 / step).tolist()
    for losses, broken in (([1, 1, INF], True), ([1, INF, 1], False), ([NAN], False)):
        assert diverged(placed(losses, losses), "right", TRAINING_LOSS) == broken
        assert not diverged(placed(losses, losses), "left", TRAINING_LOSS)
