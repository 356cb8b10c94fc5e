"""The error of the training loss itself: where it was recorded, intervals at equal loss hold it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.coverage.counts import count
from benchmarks.coverage.paths import smooth
from benchmarks.coverage.studies import Method, Study
from tests.analysis.gap.lines import line
from trajlab.analysis import factors, gap, runs_from_frame
from trajlab.analysis.gap.decomposition import decompose
from trajlab.analysis.gap.matching import gap_curve
from trajlab.analysis.runs.curve import RULES
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.level_error import level_effects, lowest_error

ERRORS = 0.02, 0.05  # decades
SLOPES = -1.0, -2.0  # points a decade


def sides(errors=ERRORS, ends=(-4.0, -4.0)):
    """Return two sides whose scores are lines over log loss, with errors of the losses."""
    made = []
    for slope, error, end in zip(SLOPES, errors, ends, strict=True):
        runs = [line(slope + apart, 80 + apart, end + apart) for apart in (-0.1, 0.0, 0.1)]
        made.append([replace(run, level_error=np.full(run.step.shape, error)) for run in runs])
    return made


def test_each_side_adds_the_square_of_its_slope_times_its_error():
    plain, told = (decompose(*sides(errors)) for errors in ((0.0, 0.0), ERRORS))
    exact = (SLOPES[0] * ERRORS[0]) ** 2 + (SLOPES[1] * ERRORS[1]) ** 2
    added = told.terms.error**2 - plain.terms.error**2
    np.testing.assert_allclose(added[:3], [0, exact, exact], atol=1e-12)
    assert told.level_error == pytest.approx(np.sqrt(exact))
    np.testing.assert_allclose(told.terms.estimate, plain.terms.estimate)
    assert told.over_runs.error == plain.over_runs.error


def test_an_error_of_0_changes_nothing():
    zero = decompose(*sides((0.0, 0.0)))
    none = decompose(*[[replace(run, level_error=None) for run in side] for side in sides()])
    for name in ("low", "high"):
        np.testing.assert_allclose(getattr(none.terms, name), getattr(zero.terms, name))
    assert none.level_error == 0


def test_what_went_further_or_got_worse_holds_it():
    plain, told = (decompose(*sides(errors, (-4.0, -3.0))) for errors in ((0.0, 0.0), ERRORS))
    added = float(told.lowest.error) ** 2 - float(plain.lowest.error) ** 2
    assert added == pytest.approx(ERRORS[0] ** 2 + ERRORS[1] ** 2)
    for own, before, slope, error in zip(
        told.own_reach, plain.own_reach, SLOPES, ERRORS, strict=True
    ):
        assert own.error**2 - before.error**2 == pytest.approx((slope * error) ** 2)


def test_the_curve_and_its_band_hold_it():
    plain, told = (gap_curve(*sides(errors)) for errors in ((0.0, 0.0), ERRORS))
    exact = (SLOPES[0] * ERRORS[0]) ** 2 + (SLOPES[1] * ERRORS[1]) ** 2
    added = told.gap.error**2 - plain.gap.error**2
    known = np.isfinite(added)  # where lines cross, runs do not differ
    assert known.mean() > 0.9
    np.testing.assert_allclose(added[known], exact)
    width = [float((each.band[1] - each.band[0])[known].min()) for each in (plain, told)]
    assert width[1] > width[0]


def test_an_error_that_changes_along_a_run_is_read_where_the_loss_is():
    """Over one error to either side, and no farther than the curve goes; mean over the runs."""
    log_loss = np.linspace(0, -4, 81)
    told = Evaluations.clean(
        np.arange(1, 82), 10**log_loss, np.where(log_loss < -2, 10 * (-2 - log_loss), 0.0)
    )
    told = replace(told, level_error=0.1 - 0.02 * (log_loss + 2))
    falling = line(-3.0, 80)
    sides = [told, falling], [replace(falling, level_error=np.full(falling.step.shape, 0.2))]
    at = -1.0, -1.95, -2.0, -3.0, -4.0
    # of the first, at -1.95: .099 to either side of it, of which .049 lie in the fall
    shares = np.array([0, 0.5 - 0.05 / 2 / 0.099, 0.5, 1, 1])
    errors = 0.1 - 0.02 * (np.array(at) + 2)
    expected = [-10 * shares * errors / 2, np.full(5, -3 * 0.2)]
    made = level_effects(sides, RULES["isotonic"], at)
    assert made == pytest.approx(np.array(expected))
    assert [lowest_error(side, RULES["isotonic"]) for side in sides] == pytest.approx([0.07, 0.2])
    assert level_effects([[falling], [falling]], RULES["isotonic"], at) is None


def frame(error=0.01, **columns):
    """Return three runs a side; an error of 1 % of the loss is .01 / ln 10 decades."""
    rng = np.random.default_rng(0)
    step = np.arange(1, 41)
    parts = []
    for method in ("single", "uniform"):
        for seed in range(3):
            log_loss = -step / 10 + rng.normal(0, 0.05)
            loss = 10**log_loss
            parts.append(
                pd.DataFrame(
                    {
                        "method": method,
                        "seed": seed,
                        "step": step,
                        "train_loss": loss,
                        "evaluations/train/loss_se": error * loss,
                        "accuracy": 80 - log_loss + rng.normal(0, 0.3),
                        "sharpness/value": 10 ** (-log_loss / 3 + rng.normal(0, 0.05)),
                    }
                ).assign(**columns)
            )
    return pd.concat(parts, ignore_index=True)


def test_it_is_read_from_the_column_named_after_the_loss():
    rows = [
        gap(runs_from_frame(frame(error), metrics=["accuracy"])).summary.iloc[0]
        for error in (0.0, 1.0)
    ]
    one_side = 1.0 / np.log(10)  # times a slope of 1 point a decade
    assert rows[1]["matched_level_se"] == pytest.approx(np.sqrt(2) * one_side, rel=0.01)
    widths = [row["matched_high"] - row["matched_low"] for row in rows]
    assert widths[1] > widths[0]
    assert rows[1]["scope"].endswith("with the error of the training loss")
    exact = frame().drop(columns="evaluations/train/loss_se")
    row = gap(runs_from_frame(exact, metrics=["accuracy"])).summary.iloc[0]
    assert np.isnan(row["matched_level_se"])
    assert "error" not in row["scope"]


def test_it_is_no_metric_and_no_loss_to_match():
    runs = runs_from_frame(frame(), metrics=["accuracy"])
    assert gap(runs, split="train", x="step").summary["metric"].tolist() == ["loss"]


def test_a_factor_at_equal_loss_holds_it():
    widths = []
    for error in (0.0, 0.2):
        delta = factors(runs_from_frame(frame(error), metrics=["accuracy"])).delta
        row = delta[(delta["factor"] == "sharpness") & (delta["at"] != "end")].iloc[0]
        widths.append(row["high"] - row["low"])
    assert widths[1] > widths[0]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_sample_that_a_side_shares_finds_no_gap_where_its_error_is_recorded(recorded):
    apart = Method(smooth, sampled=0.1), Method(lambda done: smooth(done, -1.0), sampled=0.1)
    study = Study("floors apart", apart, recorded=recorded, false=("present", "the other sign"))
    found = count(study, 1)
    said = found["present"] + found["the other sign"]
    assert (said <= 11) is recorded  # of 100; more is said in 1.1 % of cases at a level of .05
