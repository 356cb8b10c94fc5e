"""What is said of other choices, made up on either side of agreeing."""

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis.gap.sensitivity import of_sensitivity


def told(*choices, n=3):
    """Return what is said of (varied, delta, half of its interval)."""
    head = {"setting": "s", "condition": "", "method": "new", "task": "t", "metric": "accuracy"}
    head |= {"n_runs": n, "n_baseline": 3}
    rows = [
        {**head, "varied": varied, "delta": delta, "delta_low": delta - half}
        | {"delta_high": delta + half, "matched": np.nan}
        for varied, delta, half in choices
    ]
    return [said.statement[0] for said in of_sensitivity(pd.DataFrame(rows), ["method"])]


@pytest.mark.parametrize(
    ("other", "agree"),
    [
        (("rule", 0.6, 0.5), True),
        (("rule", 0.6, 0.6), False),  # its interval ends at 0
        (("rule", 0.6, 0.7), False),
        (("rule", -0.6, 0.5), False),  # as sure, of the other sign
        (("left out", 0.6, 0.7), True),  # fewer runs have wider intervals
        (("left out", -0.1, 0.7), False),
        (("grid", -0.6, 0.5), True),  # which concerns the onset alone
    ],
)
def test_choices_agree_where_sign_and_sureness_do(other, agree):
    (said,) = told(("nothing", 1.0, 0.5), other)
    assert said.endswith("they agree." if agree else "they do not agree.")


def test_choices_that_are_all_unsure_agree_by_their_sign():
    assert told(("nothing", 1.0, 2.0), ("rule", 0.5, 2.0))[0].endswith("they agree.")
    assert told(("nothing", 1.0, 2.0), ("rule", -0.5, 2.0))[0].endswith("they do not agree.")


@pytest.mark.parametrize(("n", "sentences"), [(2, 0), (3, 1)])
def test_below_three_runs_nothing_is_said(n, sentences):
    assert len(told(("nothing", 1.0, 0.5), ("rule", 0.6, 0.5), n=n)) == sentences
