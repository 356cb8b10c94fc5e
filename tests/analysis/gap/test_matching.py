"""The gap against pairs of curves that are known in closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.analysis.gap.lines import STEPS, group
from trajlab.analysis.gap.decomposition import TERMS, decompose
from trajlab.analysis.gap.matching import gap_curve, grid, step_gap
from trajlab.analysis.runs.curve import first_passage, last_passage
from trajlab.analysis.runs.evaluations import Evaluations


def test_bins_read_a_line_exactly():
    curve = gap_curve(group(-2.0, 90.0, end=-5.0), group(-1.0, 89.0, end=-4.0), "bins")
    assert curve.log_loss.size > 70
    assert curve.gap.estimate == pytest.approx(1 - curve.log_loss)


@pytest.mark.parametrize("rule", ["isotonic", "first_passage"])
def test_gap_and_decomposition_of_two_lines_are_exact(rule):
    """E = 90 − 2 log L against 89 − log L: the gap is 1 − log10 L at every loss."""
    runs, baseline = group(-2.0, 90.0, end=-5.0), group(-1.0, 89.0, end=-4.0)
    curve = gap_curve(runs, baseline, rule)
    assert curve.log_loss == pytest.approx(np.arange(-80, 1) / 20)
    assert curve.gap.estimate == pytest.approx(1 - curve.log_loss)
    half_width = 2.7764451052 * np.sqrt(2 * 0.01 / 3)  # Welch, 4 degrees of freedom
    assert curve.gap.high - curve.gap.estimate == pytest.approx(np.full(81, half_width))
    parts = decompose(runs, baseline, rule)
    assert parts.common.log_loss == pytest.approx(-4)
    ends = [np.linspace(0, end, 100)[-10:].mean() for end in (-5, -4)]
    delta = (90 - 2 * ends[0]) - (89 - ends[1])
    expected = {"delta": delta, "matched": 5.0, "reach": delta - 5.0, "selection": 0.0}
    assert dict(zip(TERMS, parts.terms.estimate, strict=True)) == pytest.approx(expected)


@pytest.mark.parametrize(("width", "read"), [(0.49, True), (0.51, False)])
@pytest.mark.parametrize("torn", ["runs", "baseline"])
def test_there_is_no_gap_in_a_hole_of_either_group(torn, width, read):
    """All runs of one group lack evaluations over half a decade or so below a loss of 0.1."""
    falling = np.append(np.linspace(0.0, -1.0, 11), np.linspace(-1.0 - width, -2.0, 11))
    scores = [90 - 2 * falling + shift for shift in (-0.1, 0.0, 0.1)]
    part = [Evaluations.clean(STEPS[: falling.size], 10**falling, score) for score in scores]
    groups = {"runs": group(-2.0, 90.0), "baseline": group(-2.0, 90.0), torn: part}
    within, below = -1.0 - width / 2, -1.9
    curve = gap_curve(groups["runs"], groups["baseline"], at=[below, within])
    for values in (curve.gap.estimate, curve.gap.low, *curve.band):
        assert np.isfinite(values).tolist() == [True, read]
    assert curve.gap.estimate[0] == pytest.approx(0, abs=1e-9)


@given(arrays(np.float64, (6, 40), elements=st.floats(-1, 1)), st.floats(-50, 50))
def test_swapping_groups_flips_signs_and_shifts_do_not_matter(noise, shift):
    falling = np.linspace(0, -3, 40)
    runs = [Evaluations.clean(STEPS[:40], 10**falling, 90 + b) for b in noise]
    moved = [Evaluations.clean(STEPS[:40], 10**falling, 90 + b + shift) for b in noise]
    one, other = gap_curve(runs[:3], runs[3:]).gap, gap_curve(runs[3:], runs[:3]).gap
    assert one.estimate == pytest.approx(-other.estimate, abs=1e-9)
    assert one.low == pytest.approx(-other.high, abs=1e-9, nan_ok=True)
    assert gap_curve(moved[:3], moved[3:]).gap.estimate == pytest.approx(one.estimate, abs=1e-9)
    assert decompose(moved[:3], moved[3:]).terms.estimate == pytest.approx(
        decompose(runs[:3], runs[3:]).terms.estimate, abs=1e-9
    )


def test_grid_holds_all_integers_over_20():
    assert grid(-0.51, 0.5) == pytest.approx(np.arange(-10, 11) / 20)


@pytest.mark.parametrize(("low", "high"), [(-0.475, 0.475), (0.41, 0.46), (-3.0001, -3.0)])
def test_a_range_of_little_loss_has_20_points_of_a_finer_grid(low, high):
    points = grid(low, high)
    assert 20 <= points.size < 42
    assert low <= points[0]
    assert points[-1] <= high
    steps = 1 / np.diff(points)
    assert steps == pytest.approx(steps[0])
    assert np.log2(steps[0] / 20) == pytest.approx(round(np.log2(steps[0] / 20)), abs=1e-6)


def test_a_range_of_one_loss_is_that_loss():
    assert grid(-1.5, -1.5) == pytest.approx([-1.5])
    assert grid(0.5, -0.5).size == 0


def test_the_last_passage_of_a_loss_that_rises_again_is_on_the_way_up():
    run = Evaluations.clean([1, 2, 3, 4], [1.0, 0.01, 0.1, 0.5], [1.0, 2.0, 4.0, 5.0])
    assert last_passage(run).at(-1) == pytest.approx(4)
    assert first_passage(run).at(-1) == pytest.approx(1.5)


def test_the_smaller_last_step_is_interpolated():
    sparse = Evaluations.clean([10, 20, 30], [1, 0.5, 0.2], [1.0, 2.0, 3.0])
    dense = Evaluations.clean([7, 14, 21, 25], [1, 0.5, 0.2, 0.1], [7.0, 14.0, 21.0, 25.0])
    found = step_gap([dense], [sparse])
    assert found.step.tolist() == [10, 20, 25]
    assert found.gap.estimate == pytest.approx([10 - 1, 20 - 2, 25 - 2.5])
