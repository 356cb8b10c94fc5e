"""The simultaneous band where its width is known in closed form."""

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from trajlab.analysis.statistics.bands import simultaneous
from trajlab.analysis.statistics.bootstrap import BOOTSTRAP_SAMPLES
from trajlab.analysis.statistics.difference import difference

RNG = np.random.default_rng(0)
RUNS, BASELINE = RNG.normal(size=(6, 1)), RNG.normal(size=(5, 1))
ITEMS, SHIFTS = 8 * RNG.normal(size=(1, 40)), np.array([[1.5], [2.0]])


@pytest.mark.parametrize(
    "options",
    [{}, {"pairs": True}, {"items": ITEMS}, {"shifts": SHIFTS}, {"items": ITEMS, "shifts": SHIFTS}],
    ids=["plain", "pairs", "items", "shifts", "both"],
)
def test_the_band_of_one_point_is_its_t_interval(options):
    baseline = RUNS - 1 - 0.1 * RNG.normal(size=(6, 1)) if "pairs" in options else BASELINE
    for confidence in (0.9, 0.95):
        alone = difference(RUNS, baseline, "t", confidence, **options)
        low, high = simultaneous(RUNS, baseline, confidence, **options)
        assert (low + high) / 2 == pytest.approx(alone.estimate)
        assert high - low == pytest.approx(alone.high - alone.low, rel=0.05)
        assert (high - low >= (alone.high - alone.low) * (1 - 1e-12)).all()


def test_points_that_move_as_one_need_no_wider_band():
    alone = simultaneous(RUNS, BASELINE)
    scale = np.array([1.0, -2.0, 5.0])
    low, high = simultaneous(RUNS * scale, BASELINE * scale)
    assert high - low == pytest.approx(np.abs(scale) * (alone[1] - alone[0]), rel=0.05)


def test_independent_points_have_the_width_of_sidak():
    runs, baseline = RNG.normal(size=(2, 400, 12))
    low, high = simultaneous(runs, baseline, 0.9)
    error = difference(runs, baseline).error
    wanted = stats.norm.isf((1 - 0.9 ** (1 / 12)) / 2)
    assert (high - low) / 2 / error == pytest.approx(np.full(12, wanted), rel=0.04)


def test_by_default_it_is_the_95_percent_band_of_unpaired_runs():
    pairs = tuple(np.random.default_rng(1).normal(size=(2, 5, 4)))
    made = simultaneous(*pairs)
    assert np.array_equal(made, simultaneous(*pairs, 0.95, pairs=False, seed=0))
    assert not np.array_equal(made, simultaneous(*pairs, seed=1))


def test_a_point_at_which_runs_do_not_differ_has_no_band_and_leaves_the_others_theirs():
    alone = simultaneous(RUNS, BASELINE)
    runs, baseline = (np.hstack([side, np.ones_like(side)]) for side in (RUNS, BASELINE))
    for end, wanted in zip(simultaneous(runs, baseline), alone, strict=True):
        assert end == pytest.approx([wanted[0], np.nan], rel=0.05, nan_ok=True)
    first = {"items": np.vstack([ITEMS, ITEMS]), "shifts": np.hstack([SHIFTS, SHIFTS])}
    alone = simultaneous(RUNS, BASELINE, items=ITEMS, shifts=SHIFTS)
    for end, wanted in zip(simultaneous(runs, baseline, **first), alone, strict=True):
        assert end == pytest.approx([wanted[0], np.nan], rel=0.05, nan_ok=True)
    for end in simultaneous(RUNS[:1], BASELINE):  # one run has no interval
        assert np.isnan(end).all()


def test_the_draws_of_a_long_curve_are_in_memory_once():
    runs, baseline = np.random.default_rng(1).normal(size=(2, 5, 200))
    tracemalloc.start()
    simultaneous(runs, baseline)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    draws = BOOTSTRAP_SAMPLES * (200 + len(runs) + len(baseline)) * 8  # of points, and of runs
    assert peak < 1.3 * draws
