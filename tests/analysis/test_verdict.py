"""Each line of the decision table, and what must never be said."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from trajlab.analysis import diagnose
from trajlab.analysis.diagnosis import verdict
from trajlab.analysis.gap.decomposition import TERMS
from trajlab.analysis.gap.sentences import seeds_needed
from trajlab.analysis.wording import MOST
from trajlab.errors import TrajlabError


def row(n=5, n_baseline=5, task="left", **changes):
    """Return a summary row; every term is 0 ± 1 unless changed by term=(value, half width)."""
    made = {"setting": "digits", "condition": "+x", "method": "uniform", "task": task}
    made |= {"baseline": "method=single", "n_baseline": n_baseline, "n_runs": n}
    made |= {"metric": "accuracy", "split": "test", "overlap_low": 1e-3, "overlap_high": 1.0}
    made |= {"onset_loss": np.nan, "sign": np.nan, "common_loss": 1e-3}
    made |= {"last_common_step": 99.0, "at_equal_steps": np.nan}
    made |= {"at_equal_steps_low": np.nan, "at_equal_steps_high": np.nan}
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


def test_batch_cosines_are_told_once_a_group_with_their_limits():
    told = verdict(conflict=pd.DataFrame([pair()]))
    assert told["task"].tolist() == [""]
    assert told["sentence"][0] == (
        "Batch gradients of left and right: mean cosine over training +0.2 [+0.1, +0.3], negative "
        "at 0.25 of the recorded steps (n = 5); batch cosines mostly measure noise."
    )
    several = verdict(conflict=pd.DataFrame([pair(), pair(-0.1, task_b="top")]))
    (sentence,) = several["sentence"]
    assert (
        "2 pairs of tasks: mean cosine over training from -0.1 (left and top) to +0.2" in sentence
    )
    unknown = verdict(conflict=pd.DataFrame([pair(np.nan, n_zero=7)]))
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
    told = verdict(conflict=pd.DataFrame([corrected(reading)]))["sentence"]
    assert told[0].startswith(said)


def corrected(reading, task_b="right", cosine=-0.3):
    known = {"corrected_cosine": cosine, "corrected_low": -0.4, "corrected_high": -0.2}
    known |= {"ceiling": 0.5, "n_corrected": 5, "n_noise_dominated": 4, "reading": reading}
    return pair(**known, task_b=task_b)


def test_many_pairs_are_one_sentence():
    rows = [corrected("oppose" if i else "align", f"task {i}", -0.1 * i) for i in range(MOST + 1)]
    told = verdict(conflict=pd.DataFrame(rows))["sentence"].tolist()
    assert len(told) == 2
    assert f"of {MOST + 1} pairs of tasks: 1 align, {MOST} oppose; from -0.6 (left" in told[0]


def shares(*values):
    made = {"setting": "digits", "condition": "+x", "method": "uniform", "baseline": ""}
    made |= {"n_baseline": 0, "n_runs": 5}
    return pd.DataFrame([{**made, "task": f"t{i}", "norm_share": v} for i, v in enumerate(values)])


def test_the_share_of_the_gradient_norm_is_told():
    (few,) = verdict(tasks=shares(0.25, 0.75))["sentence"]
    assert few == "Share of the gradient norm over training: t1 0.75, t0 0.25."
    (many,) = verdict(tasks=shares(*np.full(8, 0.1), 0.2))["sentence"]
    assert "largest and smallest of 9 tasks: t8 0.2, t7 0.1." in many


def factor(task="left", p_value=0.001, delta=0.5, **changes):
    made = {"setting": "digits", "condition": "+x", "method": "uniform", "task": task}
    made |= {"baseline": "method=single", "n_baseline": 5, "n_runs": 5, "factor": "fisher"}
    made |= {"at": "0.001", "delta": delta, "low": delta - 0.1, "high": delta + 0.1}
    return {**made, "relative": 0.5, "p_value": p_value, "reason": "", **changes}


def test_a_factor_at_equal_loss_speaks_and_one_at_the_end_does_not():
    told = verdict(
        factors=pd.DataFrame([factor(), factor(at="end"), factor(factor="sharpness", p_value=0.2)])
    )
    assert told["sentence"].tolist() == [
        "Fisher differs at equal training loss (L = 0.001): +0.5 [+0.4, +0.6], 1.5 times the "
        "baseline's; one setting cannot show cause."
    ]
    both = [factor(p_value=0.03), factor("right", p_value=0.03)]
    assert verdict(factors=pd.DataFrame(both)).empty  # Holm over the tasks
    many = [factor(f"t{i}", delta=(-1) ** i * 0.5) for i in range(MOST + 3)]
    (sentence,) = verdict(factors=pd.DataFrame(many))["sentence"]
    assert sentence.startswith("Fisher differs at equal training loss on 9 of 9 tasks, larger on 5")


@pytest.mark.parametrize(
    ("low", "high", "start"),
    [
        (0.1, 0.3, "The front of pcgrad lies beyond that of method=uniform: signed distance +0.2"),
        (-0.5, -0.1, "The front of pcgrad lies inside that of method=uniform"),
        (-0.1, 0.5, "Whether the front of pcgrad lies beyond that of method=uniform cannot be to"),
    ],
)
def test_fronts_are_told_by_their_interval(low, high, start):
    made = {"setting": "s", "condition": "", "method": "pcgrad", "task": "", "n_chosen": 3}
    made |= {"baseline": "method=uniform", "n_baseline": 9, "n_runs": 9, "signed_distance": 0.2}
    told = verdict(front=pd.DataFrame([{**made, "low": low, "high": high, "reason": "doubt"}]))
    assert told["sentence"][0].startswith(start)
    assert told["sentence"][0].endswith("; doubt.")


def test_many_tasks_are_summed_up_and_the_clearest_told():
    rows = [row(task=f"t{i}", delta=(0.1 * i, 1.0)) for i in range(10)]
    rows += [row(task="up", delta=(3.0, 1.0), delta_p=1e-6), row(task="none", delta=(np.nan, 0.0))]
    told = verdict(pd.DataFrame(rows), margin=2.5)
    assert told["task"].tolist()[0] == ""
    assert told["sentence"][0].startswith(
        "Of 11 tasks 1 improved and 0 were lowered, 10 have none larger than 2.5; of 0 it cannot"
    )
    assert "from +0 (t0) to +3 (up); trajlab gap lists all." in told["sentence"][0]
    assert set(told["task"]) == {"", "up", "none"}
    few = verdict(pd.DataFrame([row(n=2, task=f"t{i}", delta=(1.0 * i, 0.1)) for i in range(10)]))
    assert few["sentence"].tolist() == [
        "Descriptive only (n = 2): Δ of test accuracy of 10 tasks from +0 (t0) to +9 (t9)."
    ]


def test_the_gap_at_equal_steps_is_told():
    steps = {"at_equal_steps": 0.5, "at_equal_steps_low": -0.5, "at_equal_steps_high": 1.5}
    assert "At equal steps (step 99): +0.5 [-0.5, +1.5]." in sentences(row(**steps))


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
    assert set(result.results) == {"gap", "factors"}
    assert set(result.skipped) == {"conflict", "front", "correlate", "geometry"}
    assert list(result.tables()) == ["verdict"]


def test_diagnose_one_run_alone(reference):
    result = diagnose(reference[:1])
    assert result.verdict["sentence"].tolist() == [
        "Not compared: the runs are one group, so there is nothing to compare them with. Reached: "
        "test accuracy 87.98, lowest training loss 7.8e-05 (n = 1)."
    ]


def test_diagnose_refuses_what_it_cannot_use(make_run, reference):
    with pytest.raises(TrajlabError, match="margin must be positive"):
        diagnose(reference, margin=0.0)
    with pytest.raises(TrajlabError, match="no run is a baseline"):
        diagnose(reference, baseline={"method": "none"})
    running = make_run({"train": {"loss": [1.0, 0.5]}}, status="recording")
    with pytest.raises(TrajlabError, match="no run is complete"):
        diagnose([running])
