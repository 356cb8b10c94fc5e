"""The overview tells the outcome that the verdict's sentences tell."""

import numpy as np
import pandas as pd
import pytest

from tests.analysis.gap.test_sentences import row, sentences
from trajlab.analysis.gap.overview import overview

KEYS = ("setting", "condition", "method")


def outcomes(*rows, margin=None):
    return overview(pd.DataFrame(rows), KEYS, margin, 0.95)["outcome"].tolist()


@pytest.mark.parametrize(
    ("made", "margin", "outcome", "opening"),
    [
        (row(delta=(2.0, 1.0)), None, "improved", "Improved"),
        (row(delta=(-2.0, 1.0)), None, "lowered", "Lowered"),
        (row(delta=(0.9, 1.0)), None, "unclear", "Cannot tell"),
        (row(delta=(0.0, 1.0)), 0.82, "within", "No transfer larger"),
        (row(delta=(0.0, 1.0)), 0.80, "unclear", "Cannot tell"),
        (row(2, delta=(2.0, 1.0)), None, "descriptive", "Descriptive only"),
        (row(delta=(2.0, 1.0), delta_p=np.nan), None, "descriptive", "Descriptive only"),
        (row(delta=(np.nan, 1.0), reason="no"), None, "not compared", "Not compared"),
    ],
)
def test_the_outcome_is_that_of_the_sentence(made, margin, outcome, opening):
    assert outcomes(made, margin=margin) == [outcome]
    assert sentences(made, margin=margin)[0].startswith(opening)


def test_outcomes_are_adjusted_for_all_comparisons_with_a_baseline():
    one = row(delta=(2.0, 1.0), delta_p=0.03)
    assert outcomes(one) == ["improved"]
    other = row(task="right", delta=(0.0, 1.0))
    assert outcomes(one, other) == ["unclear", "unclear"]


def test_intervals_stand_beside_delta_and_its_terms():
    table = overview(pd.DataFrame([row(delta=(2.0, 1.0), reach=(0.5, 0.25))]), KEYS, None, 0.95)
    assert table.loc[0, ["delta", "delta_low", "delta_high"]].tolist() == [2, 1, 3]
    assert table.loc[0, ["reach", "reach_low", "reach_high"]].tolist() == [0.5, 0.25, 0.75]
