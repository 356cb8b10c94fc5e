"""Shares of points that a factor explains."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from trajlab.analysis.factors.quadrants import quadrant_frame, share_interval


def test_the_share_interval_covers_where_points_share_tasks():
    """Ten tasks of four methods; whether a point is explained goes by the task."""
    rng, hits, naive = np.random.default_rng(0), 0, 0
    for _ in range(400):
        chance = rng.beta(1, 1, size=10)
        explained = (rng.random((10, 4)) < chance[:, None]).astype(float).ravel()
        low, high = share_interval(explained, np.repeat(np.arange(10), 4))
        hits += low <= 0.5 <= high
        low, high = share_interval(explained, np.arange(40))
        naive += low <= 0.5 <= high
    assert hits / 400 > 0.93
    assert naive / 400 < 0.90


def test_independent_points_have_the_exact_interval():
    explained = np.array([1, 1, 1, 0, 1, 0, 1, 1, 0, 1.0])
    exact = stats.binomtest(7, 10).proportion_ci()
    assert share_interval(explained, np.arange(10)) == pytest.approx(
        (exact.low, exact.high), abs=0.02
    )
    low, high = share_interval(np.ones(8), np.repeat([0, 1], 4))  # two tasks, not eight points
    assert (low, high) == pytest.approx((0.025**0.5, 1))


def test_only_clear_points_count():
    head = {"setting": "s", "condition": "", "task": "t"}
    rows = [
        {**head, "method": m, "factor": factor, "at": "end", "z": z, "better": better}
        for m, score, sharp in (("a", 3, -3), ("b", 3, 3), ("c", 1, 5), ("d", -4, 2.5))
        for factor, z, better in (("final_metric", score, 1), ("sharpness", sharp, -1))
    ]
    frame = pd.DataFrame(rows)[
        ["setting", "condition", "method", "task", "factor", "at", "z", "better"]
    ]
    pooled = quadrant_frame(frame).set_index("method").loc["all"]
    assert (pooled["explained"], pooled["total"], pooled["n_unclear"]) == (2, 3, 1)
    assert pooled["n_tasks"] == 1


def test_few_tasks_count_for_less_by_the_ratio_of_their_t_quantiles():
    """Of 3 tasks with 3, 1 and 2 of 4 points: 12 points' variance, times (2.201 / 4.303)²."""
    explained = np.array([1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0.0])
    points = 12 * (2.2009851601 / 4.3026527297) ** 2
    half = points / 2
    exact = stats.beta.ppf([0.025, 0.975], [half, half + 1], [half + 1, half])
    assert share_interval(explained, np.repeat([0, 1, 2], 4)) == pytest.approx(tuple(exact))


def test_groups_are_told_by_name_and_not_by_the_place_of_their_columns():
    head = {"setting": "s", "condition": "", "method": "a", "lr": "1", "task": "t", "at": "end"}
    rows = [
        {**head, "lr": lr, "factor": factor, "z": z, "better": better}
        for lr, score in (("1", 3), ("2", -3))
        for factor, z, better in (("final_metric", score, 1), ("sharpness", -3, -1))
    ]
    frame = pd.DataFrame(rows)
    expected = quadrant_frame(frame, group_by=["lr"])
    assert expected["total"].tolist() == [2, 2]
    shuffled = frame[sorted(frame, reverse=True)]
    pd.testing.assert_frame_equal(quadrant_frame(shuffled, group_by=["lr"]), expected)


@pytest.mark.parametrize(("z", "clear"), [(2.0, 0), (2.001, 1), (-2.0, 0), (-2.001, 1)])
@pytest.mark.parametrize("which", ["final_metric", "sharpness"])
def test_a_point_is_clear_beyond_two_standard_errors_in_both(z, clear, which):
    head = {"setting": "s", "condition": "", "task": "t", "method": "a", "at": "end"}
    rows = [
        {**head, "factor": factor, "z": z if factor == which else 9.0, "better": 1, "metric": ""}
        for factor in ("final_metric", "sharpness")
    ]
    (made,) = quadrant_frame(pd.DataFrame(rows)).query("method == 'a'").to_dict("records")
    assert made["total"] == clear
    assert made["n_unclear"] == 1 - clear
