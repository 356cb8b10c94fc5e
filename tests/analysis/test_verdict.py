"""Each line of the decision table, and what must never be said."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from trajlab.analysis import diagnose, verdict
from trajlab.analysis.decomposition import TERMS
from trajlab.analysis.statements import seeds_needed
from trajlab.errors import TrajlabError


def row(n=5, n_baseline=5, task="left", **changes):
    """Return a summary row; every term is 0 ± 1 unless changed by term=(value, half width)."""
    made = {"setting": "digits", "condition": "+x", "method": "uniform", "task": task}
    made |= {"baseline": "method=single", "n_baseline": n_baseline, "n_runs": n}
    made |= {"metric": "accuracy", "split": "test", "overlap_low": 1e-3, "overlap_high": 1.0}
    made |= {"onset_loss": np.nan, "sign": np.nan, "common_loss": 1e-3}
    for term in TERMS:
        value, half_width = changes.pop(term, (0.0, 1.0))
        made |= {term: value, f"{term}_low": value - half_width, f"{term}_high": value + half_width}
        made[f"{term}_p"] = 0.001 if abs(value) > half_width else 0.5
        if term == "delta":
            made |= {"delta_se": half_width / 2.306, "delta_df": 8.0}
    for side in ("", "_baseline"):
        made |= {f"n_incomplete{side}": 0, f"n_diverged{side}": 0, f"n_excluded{side}": 0}
    return {**made, "reason": "", **changes}


def sentences(*rows, **options):
    return verdict(pd.DataFrame(rows), **options)["sentence"].tolist()


def test_improved_and_lowered_name_their_numbers():
    told = verdict(pd.DataFrame([row(delta=(2.0, 1.0), matched=(1.5, 1.0))]))
    assert told["sentence"].tolist() == [
        "Improved: Δ of test accuracy = +2 [+1, +3] against method=single, n = 5 and 5.",
        "A gap is present at equal training loss (L = 0.001): +1.5 [+0.5, +2.5].",
    ]
    assert "delta = 2, delta_low = 1, delta_high = 3" in told["numbers"][0]
    assert "matched = 1.5" in told["numbers"][1]
    assert sentences(row(delta=(-2.0, 1.0)))[0].startswith("Lowered: Δ of test accuracy = -2 [-3")


def test_the_onset_is_told_with_the_gap_it_begins():
    told = sentences(row(delta=(2.0, 1.0), matched=(1.5, 1.0), sign=1.0, onset_loss=0.089))
    assert told[1].endswith("+1.5 [+0.5, +2.5], significant from L = 0.089 down.")


def test_fewer_than_three_runs_are_descriptive():
    told = sentences(row(n=2, delta=(2.0, 1.0), matched=(1.5, 0.1)))
    assert told == ["Descriptive only (n = 2 against 5): Δ of test accuracy = +2."]


def test_what_is_not_compared_says_why():
    told = sentences(row(delta=(np.nan, np.nan), reason="no baseline trains left in digits"))
    assert told == ["Not compared: no baseline trains left in digits."]


def test_equivalence_needs_a_margin():
    close = row(delta=(0.1, 0.2))
    assert sentences(close)[0].startswith("Cannot tell: Δ of test accuracy = +0.1 [-0.1, +0.3]")
    told = sentences(close, margin=0.5)[0]
    assert told.startswith(
        "No transfer larger than 0.5: the 90% interval of Δ is [-0.0613, +0.261]"
    )
    assert "Cannot tell" in sentences(close, margin=0.25)[0]  # inside only one side of ±0.25
    assert re.search(r"; about \d+ seeds for 0\.05\.$", sentences(close, margin=0.05)[0])


def test_reach_alone_and_selection():
    told = sentences(row(delta=(2.0, 1.0), reach=(2.0, 1.0), selection=(-0.5, 0.1)))
    assert told[1:] == [
        "The gap appears with the difference in attained loss: +2 [+1, +3]; test longer "
        "training or a larger weight.",
        "-0.5 [-0.6, -0.4] comes from the choice of checkpoint.",
    ]


def test_what_no_term_explains_cannot_be_apportioned():
    told = sentences(row(delta=(2.0, 1.0)))
    assert told[1].startswith("Δ cannot be apportioned: matched +0 [-1, +1], reach +0 [-1, +1]")


def test_a_matched_gap_of_the_other_sign_is_told_as_such():
    told = sentences(row(delta=(2.0, 1.0), matched=(-1.0, 0.5), reach=(3.0, 0.5)))
    assert told[1] == (
        "At equal training loss (L = 0.001) the gap has the other sign: -1 [-1.5, -0.5]."
    )


def test_a_narrow_or_missing_overlap_is_told():
    assert sentences(row(overlap_low=0.2))[-1] == "Equal losses cover only L = 0.2 – 1."
    assert "No training loss is common" in sentences(row(overlap_low=np.nan))[-1]


def test_drop_outs_are_told():
    told = sentences(row(n_diverged=2, n_incomplete_baseline=1))[-1]
    assert told == "Left out: 0 incomplete and 2 diverged runs, and 1 and 0 of the baseline."


def test_many_tasks_are_adjusted():
    rows = [row(task=f"t{i}", delta=(2.0, 1.9), delta_p=0.03) for i in range(4)]
    told = [sentence for sentence in sentences(*rows) if sentence.startswith("Cannot tell")]
    assert len(told) == 4
    assert all("(adjusted for several tasks, p = 0.12)" in sentence for sentence in told)
    assert sentences(rows[0])[0].startswith("Improved")


@pytest.mark.parametrize("reach", [3.0, -3.0])
@pytest.mark.parametrize("selection", [0.0, 2.0, -2.0])
def test_no_shares_and_no_causes(reach, selection):
    terms = {"delta": (2.0, 1.0), "matched": (-1.0, 0.5)}
    conflicts = pd.DataFrame([pair()])
    changed = row(**terms, reach=(reach, 1.0), selection=(selection, 1.0))
    told = " ".join(verdict(pd.DataFrame([changed]), conflicts)["sentence"])
    assert "%" not in told
    assert not re.search(r"because|caused|due to", told, re.IGNORECASE)


def pair(cosine=0.2, **changes):
    made = {"setting": "digits", "condition": "+x", "method": "uniform", "baseline": ""}
    made |= {"n_baseline": 0, "n_runs": 5, "task_a": "left", "task_b": "right", "layer": "all"}
    made |= {"mean_cosine": cosine, "share_conflicting": 0.25, "low": 0.1, "high": 0.3}
    return {**made, "n_zero": 0, "n_missing": 0, "reason": "", **changes}


def test_batch_cosines_are_told_with_their_limits():
    told = verdict(conflict=pd.DataFrame([pair()]))
    assert told["task"].tolist() == ["left", "right"]
    assert told["sentence"][0].startswith(
        "Batch gradients of left and right: mean cosine over training +0.2 [+0.1, +0.3], negative "
        "at 0.25 of the recorded steps (n = 5); batch cosines mostly measure noise"
    )
    several = verdict(conflict=pd.DataFrame([pair(), pair(-0.1, task_b="top")]))
    assert "left and top, the least alike of 2" in several.set_index("task")["sentence"]["left"]
    unknown = verdict(conflict=pd.DataFrame([pair(np.nan, n_zero=7)]))
    assert unknown["numbers"][0] == "n_zero = 7, n_missing = 0"


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
    told = verdict(correlations=pd.DataFrame([correlation(**changes)]))
    assert told["task"].tolist() == ["left"]
    assert told["sentence"][0].startswith(start)


def test_seeds_needed_against_the_power_they_give():
    """With SD known (many degrees of freedom), the n found has power .8 in simulation."""
    n = seeds_needed(1.0, 1e9, 1.2, 0.05)
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4000, n)) + np.array([0, 1.2])[:, None, None]
    error = np.sqrt((a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1)) / n)
    found = np.abs(b.mean(axis=1) - a.mean(axis=1)) > stats.t.ppf(0.975, 2 * n - 2) * error
    assert found.mean() == pytest.approx(0.8, abs=0.04)
    assert seeds_needed(1.0, 4, 1.2, 0.05) > n  # a spread known from few runs is planned larger


def test_diagnose_on_the_reference(reference):
    result = diagnose(reference, baseline={"method": "STL"}, selection_split="test")
    told = result.verdict.groupby("method")["sentence"].first()
    assert told["MTL+Fashion"].startswith("Improved: Δ of test accuracy = +0.989")
    assert told["MTL+Noisy"].startswith("Lowered: Δ of test accuracy = -1.57")
    assert set(result.results) == {"gap"}
    assert set(result.skipped) == {"conflict", "correlate"}
    assert list(result.tables()) == ["verdict"]


def test_diagnose_one_run_alone(reference):
    result = diagnose(reference[:1])
    assert result.verdict["sentence"].tolist() == [
        "Not compared: the runs are one group, so there is nothing to compare them with."
    ]


def test_diagnose_refuses_what_it_cannot_use(make_run, reference):
    with pytest.raises(TrajlabError, match="margin must be positive"):
        diagnose(reference, margin=0.0)
    with pytest.raises(TrajlabError, match="no run is a baseline"):
        diagnose(reference, baseline={"method": "none"})
    running = make_run({"train": {"loss": [1.0, 0.5]}}, status="recording")
    with pytest.raises(TrajlabError, match="no run is complete"):
        diagnose([running])
