"""What is said of correlations."""

import numpy as np
import pandas as pd
import pytest

from tests.analysis.results import made_up
from trajlab.analysis import verdict


def correlation(**changes):
    made = {"setting": "digits", "condition": "", "method": "", "task": "left", "baseline": ""}
    made |= {"n_baseline": 0, "n_runs": 30, "x": "mean_cosine", "y": "final_metric"}
    made |= {"statistic": "spearman", "estimate": 0.5, "low": -0.2, "high": 0.86, "n": 10}
    return {**made, "p_adjusted": 0.14, "smallest_p": 0.0002, "reason": "", **changes}


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        (
            {},
            "Whether mean cosine and final metric go together over 10 units cannot be told (Spear",
        ),
        ({"p_adjusted": 0.01}, "Mean cosine and final metric go together over 10 units (Spearman "),
        ({"p_adjusted": 0.049}, "Mean cosine and final metric go together over 10 units (Spearman"),
        ({"p_adjusted": 0.051}, "Whether mean cosine and final metric go together over 10 units"),
        (
            {"p_adjusted": 0.01, "metric": "accuracy"},
            "Mean cosine and final metric (accuracy) go together",
        ),
        (
            {"p_adjusted": 0.01, "estimate": -0.5},
            "Mean cosine and final metric go against each oth",
        ),
        (
            {"estimate": np.nan, "n": 2, "reason": "fewer than 3 units"},
            "Whether mean cosine and final metric go together over 2 units cannot be told: fewer",
        ),
    ],
)
def test_correlations_are_told_with_their_test(changes, start):
    rows = pd.DataFrame([correlation(**changes)])
    told = verdict([made_up("correlate", x="x", y="y", correlations=rows)])
    assert told["task"].tolist() == ["left"]
    assert told["sentence"][0].startswith(start)
