"""The noise of comparing fronts."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis.front.configurations import (
    Configurations,
    distance_row,
    flip_rows,
    spread_row,
    volume_row,
)
from trajlab.analysis.front.pareto import (
    set_distance,
    signed_distance,
)
from trajlab.analysis.front.tables import _flipped, fronts


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


def alone(*runs):
    """Return a method with one configuration, which has these runs."""
    measured = np.array(runs, float).reshape(len(runs), 2)
    return Configurations((("only",),), np.ones((1, 2)), (measured,), 1)


@pytest.mark.parametrize("few", [0, 1])
def test_an_interval_needs_two_runs_on_each_side(few):
    several, one = alone([3, 1], [5, 1]), alone([2, 2])
    for sides, known in (
        ((several, several), True),
        ((several, one)[:: 1 if few else -1], False),
    ):
        means = [side.runs[0].mean(axis=0) for side in sides]
        row = distance_row(*sides, 0.95, 0)
        assert np.isfinite([row["low"], row["high"]]).tolist() == [known] * 2
        assert (row["reason"] == "") == known
        for share, flip in zip(
            np.arange(11) / 10, flip_rows(*sides, ["x", "y"], 0.95, 0), strict=True
        ):
            weights = np.array([share, 1 - share])
            assert flip["difference"] == pytest.approx((means[0] - means[1]) @ weights)
            assert np.isfinite([flip["low"], flip["high"]]).tolist() == [known] * 2
            assert flip["reason"] == row["reason"]


@pytest.mark.parametrize(("trials", "told"), [((4, 4), False), ((4, 5), True), ((5, 4), True)])
def test_unequal_trials_are_told_whichever_side_had_more(trials, told):
    sides = [replace(alone([3, 1], [5, 1]), trials=number) for number in trials]
    row = distance_row(*sides, 0.95, 0)
    assert (row["n_trials"], row["n_trials_baseline"]) == trials
    assert ("unequal numbers of trials" in row["reason"]) == told


def test_what_is_on_the_front_and_was_not_run_again_is_counted():
    runs = np.array([[2.0, 2.0], [3.0, 3.0]])
    nothing = np.empty((0, 2))
    # the first two are on the front, the third is dominated
    validation = np.array([[2.0, 1.0], [1.0, 2.0], [1.0, 1.0]])
    for own, left in (((runs, runs, nothing), 0), ((runs, nothing, runs), 1)):
        side = Configurations((("a",), ("b",), ("c",)), validation, own, 3)
        assert side.left == left
        assert side.chosen.tolist() == [True, not left, False]
        said = [
            distance_row(side, side, 0.95, 0)["reason"],
            volume_row(side, np.zeros(2))["reason"],
        ]
        told = [f"{count} on the front of validation not run again" for count in (2, 1)]
        assert said == (told if left else ["", ""])
        flips = [row["reason"] for row in flip_rows(side, side, ["x", "y"], 0.95, 0)]
        assert set(flips) == {said[0]}
        few = replace(side, runs=tuple(own[:1] for own in side.runs))
        reason = distance_row(few, few, 0.95, 0)["reason"]
        assert reason.startswith("no configuration has two runs")
        assert reason.endswith(told[0]) == bool(left)


def test_what_was_not_measured_is_no_flip():
    for flip in flip_rows(alone(), alone([1, 2], [2, 1]), ["x", "y"], 0.95, 0):
        assert np.isnan([flip["difference"], flip["low"], flip["high"]]).all()
        assert flip["reason"] == "no configuration was measured"


@pytest.mark.parametrize("number", [19, 20])
def test_sparse_grids_are_all_looked_at_or_a_thousand_drawn(number):
    """Three of 19 make 969 grids, of 20 1140; one more was not run again."""
    rng = np.random.default_rng(4)
    validation = rng.normal(size=(number + 1, 2))
    runs = [rng.normal(size=(2, 2)) * [2, 1] for _ in range(number)]
    runs.insert(7, np.empty((0, 2)))
    validation[7] = 100  # and would be chosen of every grid
    side = Configurations(tuple((str(i),) for i in range(number + 1)), validation, tuple(runs), 1)
    weights = np.array([0.75, 0.25])
    measured = [i for i in range(number + 1) if i != 7]

    def spread(grids):
        best = [max(grid, key=lambda i: validation[i] @ weights) for grid in grids]
        return np.std([(runs[i] @ weights).mean() for i in best])

    whole = spread(combinations(measured, 3))
    for seed in (0, 5):
        row = spread_row(side, weights, seed)
        assert (row["n_configurations"], row["grid_size"]) == (number, 3)
        if number == 19:
            assert row["grid_sd"] == pytest.approx(whole)
            continue
        drawing = np.random.default_rng(seed)
        drawn = [drawing.choice(measured, 3, replace=False) for _ in range(1000)]
        assert row["grid_sd"] == pytest.approx(spread(drawn))
        assert row["grid_sd"] == pytest.approx(whole, rel=0.1)
        assert abs(row["grid_sd"] - whole) > 1e-6


def test_the_seed_of_a_comparison_is_that_of_its_sparse_grids():
    rng = np.random.default_rng(6)
    rows = [
        {"setting": "", "condition": "", "method": "scalarization", "lr": lr, "on": on}
        | {"new": new, "x": rng.normal(), "y": rng.normal()}
        for lr in range(20)
        for new, on in (("", "selection"), ("yes", "report"), ("yes", "report"))
    ]
    own = {"objectives": {"x": True, "y": True}, "fresh": {"new": "yes"}, "group_by": ["lr"]}
    made = [fronts(pd.DataFrame(rows), seed=seed, **own) for seed in (0, 0, 1)]
    sd = [tables["spread"]["grid_sd"].item() for tables in made]
    assert sd[0] == sd[1] != sd[2]


def test_why_there_is_no_spread_to_compare():
    """Each a case just on either side of the rule."""
    equal = np.array([0.5, 0.5])
    pair, same = np.array([[1.0, 2.0], [3.0, 2.0]]), np.ones((2, 2))

    def of(*runs):
        names = tuple((str(i),) for i in range(len(runs)))
        scores = np.arange(2.0 * len(runs)).reshape(-1, 2)
        return spread_row(Configurations(names, scores, runs, 1), equal, 0)

    for runs, reason in (
        ((pair, pair, pair), "no more than 3 configurations"),
        ((pair, pair, pair, pair), ""),
        ((pair[:1], pair[:1], pair[:1], pair), ""),
        ((pair[:1],) * 4, "no configuration has two runs: no interval"),
        ((same,) * 4, "seeds do not differ"),
        ((same, same, same, pair), ""),
    ):
        row = of(*runs)
        assert row["reason"] == reason
        assert np.isfinite(row["ratio"]) == (reason == "")
        assert np.isfinite(row["grid_sd"]) == (reason in ("", "seeds do not differ"))


@pytest.mark.parametrize(
    ("ends", "significant", "flips"),
    [
        ([(1, 2), (-2, -1)], [True, True], [True, True]),
        ([(0, 2), (-2, -1)], [False, True], [False, False]),  # an end of exactly 0 is not sure
        ([(1, 2), (-2, 0)], [True, False], [False, False]),
        ([(1, 2), (3, 4)], [True, True], [False, False]),
        ([(np.nan, np.nan), (-2, -1)], [False, True], [False, False]),
        ([(1, 2), (-2, -1), (-1, 1)], [True, True, False], [True, True, False]),
    ],
)
def test_a_flip_is_sure_of_both_its_ways(ends, significant, flips):
    """And of one pair: another's is no other way."""
    rows = [{"method": "a", "baseline": "b", "low": low, "high": high} for low, high in ends]
    others = [{"method": "a", "baseline": "c", "low": low, "high": low} for low in (5, 6)]
    others += [{"method": "d", "baseline": "b", "low": low, "high": low} for low in (-5, -6)]
    found = pd.DataFrame(_flipped([*rows, *others]))
    assert found["significant"].tolist() == [*significant, True, True, True, True]
    assert found["flips"].tolist() == [*flips, False, False, False, False]
