"""Which evaluations stand for a run, just on each side of a tenth; and what is dropped."""

from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.runs import held
from trajlab.analysis.interface.axis import Axis
from trajlab.analysis.runs.evaluations import Evaluations, read
from trajlab.errors import TrajlabError
from trajlab.store import Column, items


def run(n, selection=None):
    return Evaluations.clean(np.arange(1, n + 1), np.ones(n), np.arange(n), selection)


@pytest.mark.parametrize(("n", "window"), [(1, 1), (9, 1), (10, 1), (11, 2), (20, 2), (21, 3)])
def test_a_tenth_is_rounded_up(n, window):
    of_end = np.arange(n)[-window:]
    assert run(n).end_score() == of_end.mean()
    best = np.argsort(np.arange(n) % 7, kind="stable")[::-1]
    chosen = run(n, np.arange(n) % 7)
    assert len(chosen.best()) == window
    assert set(chosen.selection[chosen.best()]) <= set((np.arange(n) % 7)[best][:window])


@pytest.mark.parametrize("number", [None, 3])
def test_selection_needs_more_evaluations_than_are_chosen(number):
    known = number or 1
    few, more = np.full(8, np.nan), np.full(8, np.nan)
    few[:known], more[: known + 1] = 1.0, 1.0
    assert not run(8, few).selectable(number)
    assert run(8, more).selectable(number)


def test_of_equal_selections_the_earlier_is_chosen():
    assert run(5, np.array([0.0, 2, 2, 1, 2])).best(2).tolist() == [1, 2]


def test_what_has_no_place_on_the_axis_is_counted():
    losses = [9.0, 1.0, 0.0, -1.0, np.nan, np.inf, 0.5]
    scores = [0.0, np.nan, 1, 1, 1, 1, 1]
    kept = Evaluations.clean(np.arange(7), losses, scores)
    assert kept.placed.step.tolist() == [6]
    assert (kept.excluded, kept.no_logarithm, kept.diverged) == (1, 2, False)
    assert Evaluations.clean([0, 1], [1.0, np.inf], [1.0, 1.0]).diverged
    assert np.isnan(kept.step_at(0.49))
    assert kept.step_at(0.5) == 6


def test_the_end_is_of_what_lies_late_enough_or_else_the_last_alone():
    told = run(10)  # scores one less than their step
    for since, score in ((0, 8.0), (8, 8.0), (9, 8.5), (10, 9.0), (11, 9.0)):
        assert told.end_score(3, since) == score
    assert told.end_score(3) == 8.0


def test_every_column_stays_with_its_step():
    bits = np.arange(15).reshape(5, 3) % 4 == 0
    losses, scores = [9.0, 1.0, np.nan, -1.0, 0.5], [5.0, 1.0, 2.0, np.nan, 4.0]
    told = Evaluations.clean(np.arange(5), losses, scores, np.arange(5) / 10, bits)
    assert (told.excluded, told.no_logarithm, told.diverged) == (1, 0, False)
    told = replace(told, level_error=np.array([0.3, 0.2, 0.1]))
    for kept, places in ((told, [1, 2, 4]), (told.placed, [1, 4]), (told.kept([2]), [4])):
        rows = np.array(places)
        assert kept.step.tolist() == places
        np.testing.assert_array_equal(kept.train_loss, np.array(losses)[rows])
        assert kept.score.tolist() == np.array(scores)[rows].tolist()
        assert kept.selection.tolist() == (rows / 10).tolist()
        assert kept.level_error.tolist() == [{1: 0.3, 2: 0.2, 4: 0.1}[place] for place in places]
        assert np.array_equal(kept.correct, bits[rows])
    assert told.best(2).tolist() == [2, 1]
    assert told.best_score(2) == 3.0
    assert told.step_at(1.0) == 1


def test_what_is_read_of_a_run_is_of_the_task_at_its_steps():
    """Of an error that is less where it is better; two tables that share some of their steps."""
    error = Column("error", ("step", "task"), attributes={"higher_is_better": False})
    loss = Column("loss", ("step", "task"))
    flags = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [1, 1, 1], [0, 0, 1]], bool)
    packed = [items.pack({"right": own}, held.TASKS) for own in flags]
    own = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, np.nan], [0.5, 0.4]]
    bits = [(column, [row[column.name] for row in packed]) for column in items.COLUMNS]
    test = held.Held("evaluations/test", [0, 2, 4, 5, 9], [(error, own), *bits], item_byte=[0])
    chosen = [[9.0, 1.0], [8.0, 2.0], [7.0, 3.0]]
    validation = held.Held("evaluations/validation", [0, 4, 6], [(error, chosen)])
    losses = [[1.0, 4.0], [1.0, 2.0], [1.0, 1.8], [1.0, 1.5]]
    train = held.Held("evaluations/train", [0, 2, 3, 5], [(loss, losses)])
    made = held.run(test, validation, train)
    told = read(made, "right", "error", "test", "validation", bits=True)
    assert told.step.tolist() == [2, 4, 9]
    assert told.score.tolist() == [-0.2, -0.3, -0.4]
    np.testing.assert_array_equal(told.selection, [np.nan, -2.0, np.nan])
    # the one between two losses is counted, and the one after all of them has none
    levels = [2.0, (1.8 * 1.5) ** 0.5, np.nan]
    assert told.train_loss.tolist() == pytest.approx(levels, nan_ok=True)
    assert (told.excluded, told.between, told.no_logarithm) == (1, 1, 0)
    assert told.correct.tolist() == flags[[1, 2, 4]].tolist()
    assert read(made, "right", "error").correct is None
    assert np.isnan(read(made, "right", "error").selection).all()
    assert read(made, "left", "error", bits=True).correct.sum() == 0
    assert read(made, "right", "error", "validation", bits=True).correct is None
    by_step = read(made, "left", "error", axis=Axis("step"))
    assert by_step.train_loss.tolist() == [1 / 2, 1 / 4, 1 / 5, 1 / 9]
    assert (by_step.score.tolist(), by_step.between) == ([-0.8, -0.7, -0.6, -0.5], 0)
    lacking = read(made, "right", "accuracy")
    assert (lacking.step.size, lacking.excluded) == (0, 4)
    with pytest.raises(TrajlabError, match=r"run\.h5 has no table evaluations/own; record it with"):
        read(made, "right", "error", "own")
