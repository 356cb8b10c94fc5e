"""Checkpoints are chosen from evaluations equally far apart on both sides."""

from dataclasses import replace

import numpy as np
import pytest

from trajlab.analysis.gap.decomposition import decompose
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.windows import Windows, distances


def run(steps, noise=0.0):
    """Return a run whose score is its step, chosen by noise."""
    steps = np.asarray(steps)
    return Evaluations.clean(steps, np.linspace(1.0, 0.1, steps.size), steps * 1.0 + noise, noise)


def falling(evaluations, rng, last=1200):
    steps = np.linspace(last / evaluations, last, evaluations).round().astype(int)
    noise = rng.normal(size=evaluations)
    return Evaluations.clean(steps, 10 ** (-2 * steps / 1200), 80 + noise, noise)


@pytest.mark.parametrize(
    ("distance", "kept"),
    [
        (np.nan, range(10, 101, 10)),
        (10, range(10, 101, 10)),
        (20, range(20, 101, 20)),
        (25, [30, 50, 80, 100]),  # 25 and 75 lie between two: the later one
        (60, [40, 100]),
        (45, [10, 60, 100]),  # down to the first
        (46, [50, 100]),  # 54 is nearer to 50, and 8 comes before the first
    ],
)
def test_evaluations_at_a_distance_count_back_from_the_last(distance, kept):
    steps = np.arange(10, 101, 10)
    spaced = run(steps, steps * 0.0).every(distance)
    assert spaced.step.tolist() == list(kept)
    assert spaced.score.tolist() == list(kept)


def test_both_sides_are_read_at_the_larger_distance():
    few, many = (
        run(np.arange(100, 1001, 100), np.zeros(10)),
        run(np.arange(10, 1001, 10), np.zeros(100)),
    )
    windows = Windows.of([many], [few], None)
    assert windows.distance == 100
    assert windows.scores(many)[1] == windows.scores(few)[1] == 1000
    assert np.isnan(Windows.of([many], [many], None).distance)
    assert np.isnan(Windows.of([many], [few], 10).distance)  # the paper's ten are ten of all
    assert [Windows.of([few], [few], number).select for number in (9, 10)] == [True, False]
    # from a step on, of the evaluations so far apart; without any of them, the last alone
    assert windows.end_since(many, 0) == windows.end_since(many, 1001) == 1000
    ten = replace(windows, number=3)
    assert [ten.end_since(many, step) for step in (0, 900, 901)] == [900, 950, 1000]


def test_runs_that_stop_early_were_not_evaluated_at_other_distances():
    """Powers of two: the shorter run has smaller distances on the whole, not where both trained."""
    long, short = run(2 ** np.arange(11), np.zeros(11)), run(2 ** np.arange(7), np.zeros(7))
    assert distances([long], [short]) == (6, 6)
    assert np.isnan(Windows.of([long], [short], None).distance)


def test_choice_among_many_evaluations_is_no_better_than_among_few():
    """Scores that are noise alone, and chosen by it: the best tenth of 12 against that of 120."""
    rng = np.random.default_rng(0)
    sides = [[falling(n, rng) for _ in range(150)] for n in (120, 12)]
    found = decompose(*sides).terms
    assert found.low[0] < 0 < found.high[0]
    best = [np.mean([each.best_score() for each in side]) for side in sides]
    assert best[0] - best[1] > 2 * (found.high[0] - found.low[0]) / 4
