"""The noise of comparing fronts."""

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis.front.configurations import Configurations, distance_row
from trajlab.analysis.front.pareto import (
    set_distance,
    signed_distance,
)


def true_values(trials, shift=0.0):
    angle = np.resize(np.linspace(0, np.pi / 2, 9), trials)
    values = 10 * np.column_stack([np.cos(angle), np.sin(angle)]) + shift
    return values - 0.3 * (np.arange(trials) // 9)[:, None]  # worse learning rates


def sampled(rng, trials, seeds, shift=0.0):
    truth = true_values(trials, shift)
    noise = rng.normal(size=(seeds + 1, trials, 2)) / 2
    runs = tuple(truth[i] + noise[1:, i] for i in range(trials))
    return Configurations(tuple((str(i),) for i in range(trials)), truth + noise[0], runs, trials)


def measured_distance(rng, trials, seeds, seed, shift=0.0):
    """The row of a front against one of 18 trials, and the true distance of those chosen."""
    sides = sampled(rng, trials, seeds, shift), sampled(rng, 18, seeds)
    truths = true_values(trials, shift), true_values(18)
    chosen = [truth[side.chosen] for truth, side in zip(truths, sides, strict=True)]
    return distance_row(*sides, 0.95, seed), float(set_distance(*chosen))


def test_equal_truth_has_no_distance_and_a_shift_has_itself():
    """Unbiased for the methods; the interval covers the distance of the chosen configurations."""
    rng = np.random.default_rng(1)
    for trials, shift in ((18, 0.0), (18, 0.5), (54, 0.0)):
        rows, truths = zip(
            *(measured_distance(rng, trials, 3, seed, shift) for seed in range(50)), strict=True
        )
        found = pd.DataFrame(rows)
        error = found["signed_distance"].std() / np.sqrt(50)
        assert found["signed_distance"].mean() == pytest.approx(shift, abs=4 * error)
        covered = (found["low"] <= np.array(truths)) & (np.array(truths) <= found["high"])
        assert covered.mean() >= 0.86  # .95 less three standard errors
        assert found["reason"].eq("").all() == (trials == 18)


def test_a_front_of_the_same_runs_grows_with_trials():
    """Why: with equal truth a front of 54 runs dominates most of what one of 6 does not."""
    rng, shares = np.random.default_rng(2), {6: [], 54: []}
    for _ in range(40):
        for trials, share in shares.items():
            points = sampled(rng, trials, 1).validation
            share.append((signed_distance(sampled(rng, 9, 1).validation, points) < 0).mean())
    assert np.mean(shares[54]) > np.mean(shares[6]) + 0.15
