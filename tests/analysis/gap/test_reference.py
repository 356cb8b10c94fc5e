"""The gap on the reference trajectories: every number their README lists."""

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis import Gap, gap
from trajlab.store import Trajectory


def run_gap(reference: list[Trajectory], **options: str) -> Gap:
    return gap(reference, baseline={"method": "STL"}, **options)  # type: ignore[arg-type]


def row(result: Gap, method: str) -> pd.Series:
    return result.summary.set_index("method").loc[method]


def gap_at(result: Gap, method: str, loss: float) -> float:
    """Return the gap at the grid point nearest to `loss`."""
    curve = result.curve[result.curve["method"] == method]
    return float(curve["gap"].iloc[np.abs(np.log(curve["train_loss"] / loss)).argmin()])


@pytest.mark.parametrize(
    ("rule", "interval", "onset", "method", "loss", "size"),
    [
        ("first_passage", "2sd", "first", "MTL+Fashion", 0.28, 2.0),
        ("first_passage", "2sd", "first", "MTL+Noisy", 0.16, -1.2),
        ("isotonic", "t", "sustained", "MTL+Fashion", 0.089, 1.0),
        ("isotonic", "t", "sustained", "MTL+Noisy", 0.18, -0.9),
        ("first_passage", "t", "sustained", "MTL+Fashion", 0.056, 1.15),
        ("first_passage", "t", "sustained", "MTL+Noisy", 0.16, -1.2),
        ("first_passage", "2sd", "sustained", "MTL+Noisy", 0.16, -1.2),
        ("isotonic", "2sd", "sustained", "MTL+Noisy", 0.16, -1.3),
    ],
)
def test_onsets(reference, rule, interval, onset, method, loss, size):
    result = run_gap(reference, rule=rule, interval=interval, onset=onset)
    found = row(result, method)
    assert np.log10(found["onset_loss"]) == pytest.approx(np.log10(loss), abs=0.03)
    assert gap_at(result, method, found["onset_loss"]) == pytest.approx(size, abs=0.05)
    assert found["sign"] == np.sign(size)


@pytest.mark.parametrize("rule", ["isotonic", "first_passage"])
def test_two_standard_deviations_sustain_no_onset_for_fashion(reference, rule):
    found = row(run_gap(reference, rule=rule, interval="2sd"), "MTL+Fashion")
    assert found[["onset_loss", "onset_step", "sign", "persistence"]].isna().all()


def test_gap_at_a_loss_of_2_percent(reference):
    result = run_gap(reference)
    assert gap_at(result, "MTL+Fashion", 0.02) == pytest.approx(1.1, abs=0.05)
    assert gap_at(result, "MTL+Noisy", 0.02) == pytest.approx(-3.0, abs=0.05)


@pytest.mark.parametrize(
    ("method", "terms"),
    [
        ("MTL+Fashion", {"matched": 0.93, "reach": 0.03, "selection": 0.03, "delta": 0.99}),
        # read at L = 2.0e-4, where all curves end, instead of 1.9e-4: matched was -3.02, reach .05
        ("MTL+Noisy", {"matched": -3.03, "reach": 0.06, "selection": 1.40, "delta": -1.57}),
    ],
)
def test_decomposition_with_the_ten_best_by_test(reference, method, terms):
    found = row(run_gap(reference, selection_split="test"), method)
    assert found[list(terms)].to_dict() == pytest.approx(terms, abs=0.005)
    assert found["selection_split"] == "test"
    assert "chosen on the test split itself" in found["reason"]


def test_decomposition_without_validation_takes_the_end(reference):
    result = run_gap(reference)
    for method, delta in (("MTL+Fashion", 0.96), ("MTL+Noisy", -2.97)):
        found = row(result, method)
        assert found["selection"] == found["selection_low"] == found["selection_high"] == 0
        assert found["selection_split"] == "none"
        assert "selection is 0 by definition" in found["reason"]
        assert found["delta"] == pytest.approx(found["matched"] + found["reach"], abs=1e-12)
        assert found["delta"] == pytest.approx(delta, abs=0.005)
