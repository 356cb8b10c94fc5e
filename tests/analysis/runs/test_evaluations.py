"""Which evaluations stand for a run, just on each side of a tenth; and what is dropped."""

import numpy as np
import pytest

from trajlab.analysis.runs.evaluations import Evaluations


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
