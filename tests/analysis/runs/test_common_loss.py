"""The lowest loss that all runs have."""

import numpy as np
import pytest

from trajlab.analysis.runs.common_loss import common_loss
from trajlab.analysis.runs.curve import RULES
from trajlab.analysis.runs.evaluations import Evaluations


def found(*sides):
    """Return the common loss of runs that fall evenly from 10^begin to 10^end."""
    groups = [
        [
            Evaluations.clean(np.arange(1, 41), 10 ** np.linspace(*ends, 40), np.zeros(40))
            for ends in side
        ]
        for side in sides
    ]
    curves = [[RULES["isotonic"](run) for run in side] for side in groups]
    return common_loss(groups, curves)


def test_it_is_the_highest_of_the_lowest():
    common = found([(0, -3), (0, -2)], [(0, -4), (0, -2.5)])
    assert common.log_loss == pytest.approx(-2)
    assert common.set_by == (0, 1)
    assert common.next_lowest == pytest.approx(-2.5)
    assert common.readable == common.log_loss


@pytest.mark.parametrize(("begin", "there"), [(-2.0, True), (-2.01, False)])
def test_a_run_that_begins_below_has_no_loss_in_common(begin, there):
    common = found([(0, -2)], [(begin, -4)])
    assert np.isfinite(common.log_loss) == there


def test_of_one_run_there_is_no_other():
    assert np.isnan(found([(0, -2)]).next_lowest)


def test_of_equal_ends_either_run_may_go_and_a_hole_on_one_side_is_enough():
    common = found([(0, -2), (0, -3)], [(0, -2)])
    assert common.set_by == (1, 0)
    assert common.next_lowest == common.log_loss == pytest.approx(-2)
    assert not common.in_hole
    far = Evaluations.clean([1, 2], [1.0, 10**-2.5], [0.0, 0.0])
    near = Evaluations.clean([1, 2], [1.0, 10**-2.2], [0.0, 0.0])
    for side in (0, 1):  # the far one has no evaluation from 1 down to 10^-2.5
        groups = [[far], [near]][:: -1 if side else 1]
        curves = [[RULES["isotonic"](run) for run in group] for group in groups]
        common = common_loss(groups, curves)
        assert common.set_by == (1 - side, 0)
        assert common.log_loss == pytest.approx(-2.2)
        assert common.in_hole
        assert np.isnan(common.readable)
