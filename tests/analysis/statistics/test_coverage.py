"""Intervals and onsets under a known truth, with checkpoints correlated as those of one run are.

A run's score on the loss grid is the truth plus a shift of the whole run plus an AR(1) path.
"""

import numpy as np
import pytest

from trajlab.analysis.gap.onset import first, sustained
from trajlab.analysis.statistics.bands import simultaneous
from trajlab.analysis.statistics.difference import difference

POINTS = 60


def curves(rng, trials, n):
    """Return (trials, n, points) scores with mean 0: SD .3 a run, and .3 of AR(1) with .9."""
    steps = rng.normal(size=(trials, n, POINTS)) * 0.3 * np.sqrt(1 - 0.9**2)
    path = np.empty_like(steps)
    path[..., 0] = rng.normal(size=(trials, n)) * 0.3
    for i in range(1, POINTS):
        path[..., i] = 0.9 * path[..., i - 1] + steps[..., i]
    return path + rng.normal(size=(trials, n, 1)) * 0.3


@pytest.mark.parametrize(
    ("interval", "n", "pairs", "low", "high"),
    [
        ("t", 3, False, 0.94, 0.98),  # Welch is a little conservative with so few runs
        ("t", 5, False, 0.93, 0.97),
        ("t", 4, True, 0.93, 0.97),
        ("bootstrap", 10, False, 0.92, 0.97),
    ],
)
def test_intervals_cover_the_truth(interval, n, pairs, low, high):
    trials = 200 if interval == "bootstrap" else 3000
    rng = np.random.default_rng(0)
    common = curves(rng, trials, n) * 3 if pairs else 0  # what pairs share must not matter
    sides = [curves(rng, trials, n) + common for _ in range(2)]
    if interval == "t":
        by_run = [np.moveaxis(side, 1, 0) for side in sides]
        found = [difference(*by_run, interval, pairs=pairs)]
    else:
        trials_of = zip(range(trials), *sides, strict=True)
        found = [difference(a, b, interval, seed=seed) for seed, a, b in trials_of]
    covered = np.mean([((one.low <= 0) & (one.high >= 0)).mean() for one in found])
    assert low < covered < high


def test_the_onset_searches_have_the_error_rates_that_are_said_of_them():
    rng = np.random.default_rng(1)
    sides = [np.moveaxis(curves(rng, 2000, 3), 1, 0) for _ in range(2)]
    found = difference(*sides)
    pairs = list(zip(found.estimate, found.significant, strict=True))
    in_sequence = np.mean([sustained(*pair) is not None for pair in pairs])
    searched = np.mean([first(*pair) is not None for pair in pairs])
    assert 0.02 < in_sequence < 0.05
    assert 0.2 < searched < 0.27


def test_the_band_holds_the_whole_curve_where_pointwise_intervals_do_not():
    rng = np.random.default_rng(2)
    held = {"band": 0, "pointwise": 0}
    trials = 200
    for seed in range(trials):
        a, b = (curves(rng, 1, 5)[0] for _ in range(2))
        low, high = simultaneous(a, b, seed=seed)
        found = difference(a, b)
        held["band"] += bool(((low <= 0) & (high >= 0)).all())
        held["pointwise"] += not found.significant.any()
    assert held["band"] / trials > 0.9
    assert held["pointwise"] / trials < 0.85
