"""What is said of other choices: whether they agree."""

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis.gap.sensitivity import of_sensitivity

WAYS = {"rule": "bins", "common loss": "10 times", "window": "ten", "left out": "single-1"}


def told(*, n=5, **changed):
    """Return the sentence where each way reads 1 ± .5, but for way=(value, half width)."""
    head = {"setting": "", "condition": "", "method": "uniform", "task": "left"}
    head |= {"baseline": "method=single", "n_baseline": n, "n_runs": 5, "metric": "accuracy"}
    rows = []
    for varied, value in {"nothing": "", **WAYS, "grid": "10 points a decade"}.items():
        read, half = changed.get(varied.replace(" ", "_"), (1.0, 0.5))
        row = {"varied": varied, "value": value, "reason": "", "x": "loss", "loss": "train/loss"}
        for name in ("delta", "matched"):
            row |= {name: read, f"{name}_low": read - half, f"{name}_high": read + half}
        rows.append({**head, **row})
    found = list(of_sensitivity(pd.DataFrame(rows)))
    return found[0].statement[0] if found else ""


def test_ways_that_agree():
    assert told(rule=(2.0, 0.5)) == (
        "Read in 5 ways (by each rule, at another training loss, by each window, and without each "
        "run): they agree that Δ is above 0, from +1 (as chosen) to +2 (rule bins); they agree "
        "that the gap at equal training loss is above 0, from +1 (as chosen) to +2 (rule bins). "
        "The intervals are single ones, not adjusted."
    )
    assert "is below 0, from -1.2 (without single-1) to -1 (as chosen)" in told(
        **dict.fromkeys(("nothing", "rule", "common_loss", "window"), (-1.0, 0.5)),
        left_out=(-1.2, 2.0),  # fewer runs: its interval does not count
    )


@pytest.mark.parametrize(
    "changed",
    [{"rule": (1.0, 1.1)}, {"rule": (-1.0, 0.5)}, {"left_out": (-0.1, 0.5)}],
    ids=["an interval holds 0", "another sign", "without a run another sign"],
)
def test_ways_that_do_not(changed):
    assert "they do not agree on Δ, from " in told(**changed)
    assert "intervals over all runs exclude 0" in told(**changed)


def test_ways_of_which_none_tells_anything():
    wide = dict.fromkeys(("nothing", "rule", "common_loss", "window"), (0.1, 0.5))
    assert "no interval over all runs excludes 0 for Δ, from -0.1 (without single-1)" in told(
        **wide, left_out=(-0.1, 0.5)
    )


def test_a_number_that_only_the_ways_without_a_run_have():
    """As where one run alone leaves no loss common to all."""
    head = {"setting": "", "condition": "", "method": "uniform", "task": "left", "reason": ""}
    head |= {"baseline": "method=single", "n_baseline": 5, "n_runs": 5, "metric": "accuracy"}
    rows = []
    for varied, value in {"nothing": "", **WAYS}.items():
        matched = 2.0 if varied == "left out" else np.nan
        row = {"varied": varied, "value": value, "x": "loss", "loss": "train/loss"}
        row |= {"delta": 1.0, "delta_low": 0.5, "delta_high": 1.5}
        row |= {"matched": matched, "matched_low": matched, "matched_high": matched}
        rows.append({**head, **row})
    (sentence,) = of_sensitivity(pd.DataFrame(rows))
    assert (
        "the gap at equal training loss has a value only without a run, from +2 (without single-1) "
        "to +2 (without single-1)."
    ) in sentence.statement[0]


def test_nothing_is_said_of_what_is_descriptive():
    assert told(n=2) == ""
    assert told(nothing=(1.0, np.nan)) == ""  # runs that do not differ
