"""What is said of task gradients."""

import numpy as np
import pandas as pd
import pytest

from tests.analysis.results import made_up
from trajlab.analysis import verdict
from trajlab.analysis.interface.sentence import TOLD_SINGLY


def told_of(*pairs, tasks=None):
    """Return the verdict on rows of the summary, and of the tasks."""
    summary = pd.DataFrame(pairs) if pairs else pd.DataFrame(columns=list(pair()))
    tasks = shares() if tasks is None else tasks
    return verdict([made_up("conflict", summary=summary, tasks=tasks)])


def pair(cosine=0.2, **changes):
    made = {"setting": "digits", "condition": "+x", "method": "uniform", "baseline": ""}
    made |= {"n_baseline": 0, "n_runs": 5, "task_a": "left", "task_b": "right", "layer": "all"}
    made |= {"mean_cosine": cosine, "share_conflicting": 0.25, "low": 0.1, "high": 0.3}
    return {**made, "n_zero": 0, "n_missing": 0, "reason": "", **changes}


def test_batch_cosines_are_told_once_a_group_with_their_limits():
    told = told_of(pair())
    assert told["task"].tolist() == [""]
    assert told["sentence"][0] == (
        "Batch gradients of left and right: mean cosine over training +0.2 [+0.1, +0.3]; of the "
        "steps recorded, 25 % oppose (n = 5); batch cosines mostly measure noise."
    )
    (rare,) = told_of(pair(share_conflicting=0.00123456))["sentence"]
    assert "of the steps recorded, 0.123 % oppose" in rare
    several = told_of(pair(), pair(-0.1, task_b="top"))
    (sentence,) = several["sentence"]
    assert (
        "2 pairs of tasks: mean cosine over training from -0.1 (left and top) to +0.2" in sentence
    )
    unknown = told_of(pair(np.nan, n_zero=7))
    assert unknown["numbers"][0] == "n_zero = 7, n_missing = 0"


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (
            "oppose",
            "The gradients of left and right oppose each other: noise-corrected cosine -0.3 ",
        ),
        ("align", "The gradients of left and right align: "),
        ("cannot tell", "Whether the gradients of left and right oppose or align cannot be told"),
        ("noise-dominated", "The similarity of left and right is noise-dominated: 4 measure"),
    ],
)
def test_corrected_cosines_are_read_by_the_last_line_of_the_table(reading, said):
    told = told_of(corrected(reading))["sentence"]
    assert told[0].startswith(said)


@pytest.mark.parametrize("reading", ["oppose", "align", "cannot tell"])
def test_below_three_runs_nothing_is_claimed_of_gradients(reading):
    (told, batches) = told_of(corrected(reading, n_corrected=2, n_runs=2))["sentence"]
    assert told == (
        "Descriptive only: gradients of left and right: noise-corrected cosine -0.3 [-0.4, -0.2], "
        "n = 2, ceiling 0.5."
    )
    assert batches.startswith("Descriptive only: batch gradients of left and right")
    rows = [
        corrected("align", f"task {i}", n_corrected=2 + (i > 2)) for i in range(TOLD_SINGLY + 1)
    ]
    assert (
        f": 3 descriptive only, {TOLD_SINGLY - 2} align, each by" in told_of(*rows)["sentence"][0]
    )
    assert "noise-dominated" in told_of(corrected("noise-dominated", n_corrected=0))["sentence"][0]


def corrected(reading, task_b="right", cosine=-0.3, **changes):
    known = {"corrected_cosine": cosine, "corrected_low": -0.4, "corrected_high": -0.2}
    known |= {"ceiling": 0.5, "n_corrected": 5, "n_noise_dominated": 4, "reading": reading}
    return pair(**(known | changes), task_b=task_b)


def test_many_pairs_are_one_sentence():
    rows = [
        corrected("oppose" if i else "align", f"task {i}", -0.1 * i) for i in range(TOLD_SINGLY + 1)
    ]
    told = told_of(*rows)["sentence"].tolist()
    assert len(told) == 2
    assert (
        f"of {TOLD_SINGLY + 1} pairs of tasks: 1 align, {TOLD_SINGLY} oppose, each by its own "
        "interval; from -0.6 (left" in told[0]
    )


def shares(*values):
    made = {"setting": "digits", "condition": "+x", "method": "uniform", "baseline": ""}
    made |= {"n_baseline": 0, "n_runs": 5}
    rows = [{**made, "task": f"t{i}", "norm_share": v} for i, v in enumerate(values)]
    return pd.DataFrame(rows, columns=[*made, "task", "norm_share"])


def test_the_share_of_the_gradient_norm_is_told():
    (few,) = told_of(tasks=shares(0.25, 0.75))["sentence"]
    assert few == "Share of the gradient norm over training: t1 75 %, t0 25 %."
    (many,) = told_of(tasks=shares(*np.full(8, 0.1), 0.2))["sentence"]
    assert "largest and smallest of 9 tasks: t8 20 %, t7 10 %." in many
