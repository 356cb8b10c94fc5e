"""Fronts against hand-worked cases."""

import numpy as np
import pytest

from trajlab.analysis.front.pareto import (
    hypervolume,
    non_dominated,
    resampled_means,
    set_distance,
    signed_distance,
    utility_weights,
)

STAIR = np.array([[1.0, 4.0], [2.0, 3.0], [4.0, 1.0]])


def test_dominated_points_are_found():
    points = np.vstack([STAIR, [[1.0, 3.0], [2.0, 3.0], [0.0, 0.0]]])
    assert non_dominated(points).tolist() == [True, True, True, False, True, False]


def test_hypervolume_by_hand():
    # above the origin: columns of width 1, 1 and 2, of heights 4, 3 and 1
    assert hypervolume(STAIR, np.zeros(2)) == pytest.approx(4 + 3 + 2)


def test_signed_distance_by_hand():
    points = np.array([[2.0, 2.0], [3.0, 3.0], [2.0, 3.0], [5.0, 5.0], [0.0, 0.0]])
    assert signed_distance(points, STAIR).tolist() == [0, 1, 0, 3, -2]
    assert signed_distance(STAIR + 0.5, STAIR) == pytest.approx([0.5] * 3)
    assert set_distance(STAIR + 0.5, STAIR) == pytest.approx(0.5)
    assert set_distance(STAIR, STAIR + 0.5) == pytest.approx(-0.5)


def test_resampled_means_have_the_standard_error_of_the_pooled_spread():
    rng = np.random.default_rng(0)
    runs = [rng.normal(size=(3, 2)) for _ in range(200)]
    drawn = resampled_means(runs, 500)
    assert drawn.mean(axis=0) == pytest.approx(np.stack([r.mean(axis=0) for r in runs]), abs=0.15)
    assert drawn.std(axis=0).mean() == pytest.approx(1 / np.sqrt(3), rel=0.05)


def test_weights_sum_to_one():
    assert utility_weights(2).shape == (11, 2)
    three = utility_weights(3, 4)
    assert len(three) == 15
    assert three.sum(axis=1) == pytest.approx(1)


def test_weights_of_many_objectives_lie_on_lines():
    assert len(utility_weights(4)) == 286  # the whole grid: 13 choose 3
    assert len(utility_weights(5)) == 1 + 5 * 10
    many = utility_weights(40)
    assert len(np.unique(many.round(12), axis=0)) == len(many) == 1 + 40 * 10
    assert many.sum(axis=1) == pytest.approx(1)
    assert many[0] == pytest.approx(1 / 40)
    for alone in np.eye(40):
        assert (many == alone).all(axis=1).any()
