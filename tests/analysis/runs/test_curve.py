"""A score as a function of the loss: ties, edges of holes, and what each rule keeps."""

import numpy as np
import pytest

from trajlab.analysis.runs.curve import (
    WIDEST_HOLE,
    Curve,
    bins,
    first_passage,
    in_hole,
    isotonic,
    last_passage,
)
from trajlab.analysis.runs.evaluations import Evaluations


def run(losses, scores=None):
    """Evaluations of one run at steps 1, 2, …"""
    scores = np.arange(len(losses)) if scores is None else scores
    return Evaluations.clean(np.arange(1, len(losses) + 1), losses, scores)


def test_a_curve_is_linear_between_knots_and_never_extrapolated():
    curve = Curve(np.array([-2.0, -1.0]), np.array([10.0, 20.0]))
    assert curve.at([-2.0, -1.25, -1.0]).tolist() == [10.0, 17.5, 20.0]
    assert np.isnan(curve.at([-2.001, -0.999])).all()


def test_of_equal_losses_the_first_passage_is_the_first():
    curve = first_passage(run([1.0, 0.1, 0.1, 0.5, 0.01]))
    assert curve.log_loss == pytest.approx([-2.0, -1.0, 0.0])
    assert curve.score.tolist() == [4, 1, 0]


def test_the_last_passage_of_a_loss_that_rises_again_is_on_the_way_up():
    curve = last_passage(run([1.0, 0.01, 0.1]))
    assert curve.log_loss == pytest.approx([-2.0, -1.0, 0.0])
    assert curve.score.tolist() == [1, 2, 0]


def test_isotonic_pools_what_rises_and_bins_tenths_of_a_decade():
    pooled = isotonic(run([1.0, 0.01, 0.1, 0.001]))
    assert pooled.log_loss == pytest.approx([-3.0, -1.5, 0.0])
    assert pooled.score == pytest.approx([3, 1.5, 0])
    binned = bins(run(10.0 ** np.array([-0.31, -0.39, -0.41])))
    assert binned.log_loss == pytest.approx([-0.41, -0.35])
    assert binned.score == pytest.approx([2, 0.5])


@pytest.mark.parametrize("width", [WIDEST_HOLE - 1e-9, WIDEST_HOLE + 1e-9])
def test_a_hole_is_wider_than_half_a_decade_and_its_ends_are_not_in_it(width):
    group = [run(10.0 ** np.array([0.0, -width]))]
    ends = np.log10(group[0].train_loss)
    inside = np.array([ends[1], ends[1] + 1e-6, ends[0] - 1e-6, ends[0]])
    assert in_hole(inside, group).tolist() == [False, *[width > WIDEST_HOLE] * 2, False]
    # the evaluations of all runs of a group count
    assert not in_hole(inside, [*group, run([10.0 ** (-width / 2)])]).any()
    assert not in_hole([0.5, -2.0, np.nan], group).any()  # outside of all evaluations is no hole
    assert not in_hole([0.5], [run([-1.0])]).any()  # without any loss that has a logarithm
