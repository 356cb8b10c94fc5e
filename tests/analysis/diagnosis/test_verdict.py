"""What must never be said."""

import re

import pandas as pd
import pytest

from tests.analysis.conflict.test_sentences import pair, shares
from tests.analysis.gap.test_sentences import row
from tests.analysis.results import made_up
from trajlab.analysis import verdict


@pytest.mark.parametrize("reach", [3.0, -3.0])
@pytest.mark.parametrize("selection", [0.0, 2.0, -2.0])
def test_no_shares_and_no_causes(reach, selection):
    terms = {"delta": (2.0, 1.0), "matched": (-1.0, 0.5)}
    changed = row(**terms, reach=(reach, 1.0), selection=(selection, 1.0))
    results = [
        made_up("gap", summary=pd.DataFrame([changed])),
        made_up("conflict", summary=pd.DataFrame([pair()]), tasks=shares(0.25, 0.75)),
    ]
    told = " ".join(verdict(results)["sentence"])
    assert "Batch gradients of left and right" in told
    assert "%" not in " ".join(verdict(results[:1])["sentence"])  # terms of Δ are no shares of it
    assert not re.search(r"because|caused|due to", told, re.IGNORECASE)


def test_groups_are_told_by_name_and_not_by_the_place_of_their_columns():
    """Holm's adjustment runs over all that share a baseline, here four comparisons."""
    rows = [
        row(task=f"t{i}", lr=lr, delta=(2.0, 1.9), delta_p=0.01)
        for lr in ("1", "2")
        for i in range(2)
    ]
    frame = pd.DataFrame(rows)
    (told, shuffled) = (
        verdict([made_up("gap", summary=summary, group_by=["lr"])])
        for summary in (frame, frame[sorted(frame, reverse=True)])
    )
    assert told["sentence"].str.startswith("Improved").sum() == 4
    pd.testing.assert_frame_equal(told, shuffled)


def test_a_sentence_stands_beside_its_group_its_metric_and_its_numbers():
    own = pd.DataFrame([row(metric="error", delta=(2.0, 1.0))])
    shown = {"summary": pd.DataFrame([pair()]), "tasks": shares(0.25, 0.75)}
    told = verdict([made_up("gap", summary=own), made_up("conflict", **shown)])
    assert list(told) == [
        *("setting", "condition", "method", "task", "baseline", "n_baseline", "n_runs"),
        *("metric", "sentence", "numbers", "reason"),
    ]
    whole = told["task"] == ""  # a cosine is of no metric, and of no task alone
    assert set(told.loc[~whole, "metric"]) == {"error"}
    assert set(told.loc[whole, "metric"]) == {""}
    assert set(told.loc[~whole, "baseline"]) == {"method=single"}
    assert set(told.loc[whole, "n_runs"]) == {5}
    assert told["numbers"].str.match(r"[\w ]+ = ").all()
