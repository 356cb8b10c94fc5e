"""Each line of the decision table of the gap, and what must never be said."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.analysis.results import made_up
from trajlab.analysis import verdict
from trajlab.analysis.gap.adjustment import adjust
from trajlab.analysis.gap.decomposition import TERMS
from trajlab.analysis.statistics.power import seeds_needed

DELTA = "Δ of test accuracy (evaluations best on validation)"


def row(n=5, n_baseline=5, task="left", **changes):
    """Return a summary row; every term is 0 ± 1 unless changed by term=(value, half width)."""
    made = {"setting": "digits", "condition": "+x", "method": "uniform", "task": task}
    made |= {"baseline": "method=single", "n_baseline": n_baseline, "n_runs": n}
    made |= {"metric": "accuracy", "split": "test", "selection_split": "validation"}
    made |= {"overlap_low": 1e-3, "overlap_high": 1.0}
    made |= {"onset_loss": np.nan, "sign": np.nan, "common_loss": 1e-3}
    made |= {"last_common_step": 99.0, "at_equal_steps": np.nan}
    made |= {"at_equal_steps_low": np.nan, "at_equal_steps_high": np.nan}
    for term in TERMS:
        value, half_width = changes.pop(term, (0.0, 1.0))
        made |= {term: value, f"{term}_low": value - half_width, f"{term}_high": value + half_width}
        made[f"{term}_p"] = 0.001 if abs(value) > half_width else 0.5
        if term == "delta":
            made |= {"delta_se": half_width / 2.306, "delta_df": 8.0}
            made |= {"delta_seed_se": half_width / 2.306, "delta_seed_df": 8.0}
    made |= {"delta_item_se": 0.0, "common_loss_low": 1e-4, "common_loss_run": "uniform-1"}
    for name in ("lowest_loss_ratio", "reach_of_runs", "reach_of_baseline"):
        value, half_width = changes.pop(name, (1.0, 2.0))
        made |= {name: value, f"{name}_low": value - half_width, f"{name}_high": value + half_width}
    for name in ("delta_without", "matched_without"):
        made |= dict.fromkeys((name, f"{name}_low", f"{name}_high"), np.nan)
    made |= dict.fromkeys(("matched_first_passage", "matched_last_passage"), made["matched"])
    own = {**made, **changes}
    made |= {f"{term}_p_closed": own[f"{term}_p"] for term in TERMS[1:]}
    for side in ("", "_baseline"):
        made |= {f"n_incomplete{side}": 0, f"n_diverged{side}": 0, f"n_excluded{side}": 0}
    return {**made, "reason": "", **changes}


def told_of(*rows, **options):
    """Return the verdict on rows of the summary."""
    return verdict([made_up("gap", summary=pd.DataFrame(rows))], **options)


def sentences(*rows, **options):
    return told_of(*rows, **options)["sentence"].tolist()


def test_improved_and_lowered_name_their_numbers():
    told = told_of(row(delta=(2.0, 1.0), matched=(1.5, 1.0)))
    assert told["sentence"].tolist() == [
        "Improved: Δ of test accuracy (evaluations best on validation) = +2 [+1, +3] against "
        "method=single, n = 5 and 5.",
        "A gap is present at equal training loss (L = 0.001): +1.5 [+0.5, +2.5] "
        "(+1.5 by first passage, +1.5 by last passage).",
    ]
    assert "delta = 2, delta_low = 1, delta_high = 3" in told["numbers"][0]
    assert "matched = 1.5" in told["numbers"][1]
    assert sentences(row(delta=(-2.0, 1.0)))[0].startswith(f"Lowered: {DELTA} = -2 [-3")


def test_the_onset_is_told_with_the_gap_it_begins():
    told = sentences(row(delta=(2.0, 1.0), matched=(1.5, 1.0), sign=1.0, onset_loss=0.089))
    assert told[1].endswith("passage), significant at every common loss from 0.089 down.")


@pytest.mark.parametrize("passage", ["first", "last"])
def test_a_gap_is_present_only_where_every_way_to_read_it_has_its_sign(passage):
    shown = {"delta": (2.0, 1.0), "matched": (1.5, 1.0)}
    for value, said in ((0.01, "A gap is present at"), (-0.01, "Whether a gap is at equal")):
        told = sentences(row(**shown, **{f"matched_{passage}_passage": value}))
        assert told[1].startswith(said)
        assert f"{value:+.3g} by {passage} passage" in told[1]


@pytest.mark.parametrize("passage", ["first", "last"])
def test_a_passage_without_a_value_is_said_in_words(passage):
    """A loss that rose before it fell has a fitted curve that begins above the first passage's."""
    shown = {"delta": (2.0, 1.0), "matched": (1.5, 1.0), f"matched_{passage}_passage": np.nan}
    assert sentences(row(**shown))[1] == (
        "Whether a gap is at equal training loss (L = 0.001) cannot be told: +1.5 [+0.5, +2.5], "
        f"without a value by {passage} passage."
    )


def test_terms_are_told_only_of_an_established_difference():
    terms = {"matched": (1.5, 0.1), "reach": (0.5, 0.1), "selection": (0.5, 0.1)}
    assert len(sentences(row(delta=(2.0, 1.0), delta_p=0.049, **terms))) == 3
    assert len(sentences(row(delta=(2.0, 1.0), delta_p=0.051, **terms))) == 1


def test_methods_that_share_a_baseline_are_one_family():
    one = row(delta=(2.0, 1.0), delta_p=0.03)
    assert sentences(one)[0].startswith("Improved")
    two = sentences(one, row(method="pcgrad", delta=(2.0, 1.0), delta_p=0.03))
    assert not any(sentence.startswith("Improved") for sentence in two)
    assert len(two) == 2  # nor is the Δ apportioned, though its own p is below the level
    apart = sentences(one, row(baseline="method=other", delta=(2.0, 1.0), delta_p=0.03))
    assert sum(sentence.startswith("Improved") for sentence in apart) == 2
    few = sentences(one, row(method="pcgrad", n=2, delta=(2.0, 1.0), delta_p=0.03))
    assert sum(sentence.startswith("Improved") for sentence in few) == 1  # what tests nothing


def test_runs_that_do_not_differ_are_descriptive():
    told = sentences(row(delta=(2.0, 0.0), delta_p=np.nan, matched=(2.0, 0.1)))
    assert told == [
        f"Descriptive only (runs of a side do not differ): {DELTA} = +2; at equal training loss "
        "(L = 0.001) the difference is +2."
    ]


def test_a_run_that_never_trained_is_named():
    told = sentences(row(common_loss=1.17, common_loss_low=0.01, delta_without=0.5))
    assert told[1].startswith(
        "The lowest training loss common to all runs is L = 1.2 because of one run alone, "
        "uniform-1; without it the lowest training loss common to all runs is L = 0.01, Δ = +0.5, "
        "and the gap there"
    )
    told = sentences(row(common_loss=np.nan, common_loss_low=0.01, delta_without=0.5))
    assert told[1].startswith("No training loss is common to all runs because of one alone, unif")


def test_small_improvements_are_told_as_small():
    small = row(delta=(0.3, 0.1))
    assert "; no transfer larger than 0.5, for the 90% interval" in sentences(small, margin=0.5)[0]
    assert "no transfer" not in sentences(small, margin=0.35)[0]


def test_items_that_alone_forbid_the_margin_ask_for_a_larger_test_set():
    assert "seeds for 0.5" in sentences(row(delta_item_se=0.17), margin=0.5)[0]
    assert sentences(row(delta_item_se=0.18), margin=0.5)[0].endswith("needs a larger test set.")
    # z of .975 and .8 are 1.96 and .84: .5 / 2.80 = .178
    assert seeds_needed(1.0, 8, 0.5, 0.05, 0.1) > seeds_needed(1.0, 8, 0.5, 0.05)
    assert seeds_needed(1.0, 8, 0.5, 0.05 / 6) > seeds_needed(1.0, 8, 0.5, 0.05)


def test_seeds_are_planned_at_the_level_of_all_tests():
    tasks = [row(task=task, delta=(0.1, 1.0)) for task in ("left", "right", "top")]
    planned = [
        int(re.search(r"about (\d+) seeds", told[0])[1])
        for told in (sentences(tasks[0], margin=0.5), sentences(*tasks, margin=0.5))
    ]
    spread = (1.0 / 2.306) / np.sqrt(2 / 5)
    assert planned == [seeds_needed(spread, 8, 0.5, 0.05 / n) for n in (1, 3)]
    assert planned[1] > planned[0]


def test_fewer_than_three_runs_are_descriptive():
    told = sentences(row(n=2, delta=(2.0, 1.0), matched=(1.5, 0.1)))
    assert told == [
        f"Descriptive only (n = 2 against 5): {DELTA} = +2; at equal training loss (L = 0.001) the "
        "difference is +1.5."
    ]
    nowhere = sentences(row(n=2, delta=(2.0, 1.0), matched=(np.nan, 0.1)))
    assert nowhere == [f"Descriptive only (n = 2 against 5): {DELTA} = +2."]


def test_what_is_not_compared_says_why():
    told = sentences(row(delta=(np.nan, np.nan), reason="no baseline trains left in digits"))
    assert told == ["Not compared: no baseline trains left in digits."]


def test_equivalence_needs_a_margin():
    close = row(delta=(0.1, 0.2))
    assert sentences(close)[0].startswith(f"Cannot tell: {DELTA} = +0.1 [-0.1, +0.3]")
    told = sentences(close, margin=0.5)[0]
    assert told.startswith(
        "No transfer larger than 0.5: the 90% interval of Δ is [-0.0613, +0.261]"
    )
    assert "Cannot tell" in sentences(close, margin=0.25)[0]  # inside only one side of ±0.25
    assert re.search(r"; about \d+ seeds for 0\.05\.$", sentences(close, margin=0.05)[0])


def test_reach_alone_and_selection():
    shown = {"delta": (2.0, 1.0), "reach": (2.0, 1.0), "selection": (-0.5, 0.1)}
    told = sentences(row(**shown, lowest_loss_ratio=(0.5, 0.4)))
    assert told[1:] == [
        "The gap appears with the difference in attained loss: +2 [+1, +3]; the lowest training "
        "loss of method=single is 2 [1.1, 10] times the other's: test longer training or a larger "
        "weight.",
        "Against the sign of Δ, -0.5 [-0.6, -0.4] comes from the choice of checkpoint: the last "
        "evaluations differ by +2.5.",
    ]
    along = sentences(row(**{**shown, "selection": (0.5, 0.1)}, lowest_loss_ratio=(0.5, 0.4)))
    assert along[-1].startswith("Of Δ, +0.5 [+0.4, +0.6] comes from the choice of checkpoint: the ")
    assert along[-1].endswith(" differ by +1.5.")
    not_told = sentences(row(**shown, lowest_loss_ratio=(0.5, 0.51)))[1]
    assert "not told apart" in not_told
    assert "longer training" not in not_told


def test_reach_that_comes_of_getting_worse_is_named_so():
    shown = {"delta": (2.0, 1.0), "reach": (2.0, 1.0), "lowest_loss_ratio": (0.5, 0.4)}
    told = sentences(row(**shown, reach_of_baseline=(-1.0, 0.9)))[1]
    assert "method=single got worse after passing it, by -1 [-1.9, -0.1]" in told
    assert "longer training" not in told
    assert "longer training" in sentences(row(**shown, reach_of_baseline=(-1.0, 1.1)))[1]
    lowered = {"delta": (-2.0, 1.0), "reach": (-2.0, 1.0), "reach_of_runs": (-1.0, 0.9)}
    assert "method=uniform got worse" in sentences(row(**lowered))[1]


def test_what_no_term_explains_cannot_be_apportioned():
    told = sentences(row(delta=(2.0, 1.0)))
    assert told[1].startswith(
        "Δ cannot be apportioned: at equal training loss (L = 0.001) +0 [-1, +1], from training "
        "beyond it +0 [-1, +1], from the choice of checkpoint +0 [-1, +1]."
    )


@pytest.mark.parametrize(("p", "said"), [(0.049, True), (0.051, False)])
def test_an_interval_that_excludes_0_beside_cannot_be_apportioned_says_why(p, said):
    terms = {"matched": (1.5, 1.0), "matched_p": p, "matched_p_closed": 0.15}
    told = sentences(row(delta=(2.0, 1.0), **terms))[1]
    assert told.startswith(
        "Δ cannot be apportioned: at equal training loss (L = 0.001) +1.5 [+0.5,"
    )
    assert ("(with the other tests, p = 0.15), from training" in told) is said


def test_a_matched_gap_of_the_other_sign_is_told_as_such():
    told = sentences(row(delta=(2.0, 1.0), matched=(-1.0, 0.5), reach=(3.0, 0.5)))
    assert told[1] == (
        "At equal training loss (L = 0.001) the gap has the other sign: -1 [-1.5, -0.5] "
        "(-1 by first passage, -1 by last passage)."
    )
    assert told[2].startswith("The gap appears after equal training loss (L = 0.001): +3")
    along = sentences(row(delta=(2.0, 1.0), matched=(1.0, 0.5), reach=(3.0, 0.5)))
    assert not any("The gap appears" in sentence for sentence in along)


def test_a_narrow_or_missing_overlap_is_told():
    assert sentences(row(overlap_low=0.2))[-1] == "Equal training loss covers only L = 0.2 – 1."
    missing = "No training loss is common to all runs, so nothing is compared there."
    unread = {"overlap_low": np.nan, "common_loss": np.nan, "matched": (np.nan, 1.0)}
    assert sentences(row(**unread))[1:] == [missing]
    assert sentences(row(**unread, delta=(2.0, 1.0)))[1:] == [missing]  # said once


def test_drop_outs_are_told():
    told = sentences(row(n_diverged=2, n_incomplete_baseline=1))[-1]
    assert told == "Left out: 2 diverged runs, and 1 incomplete of the baseline."


def test_drop_outs_are_told_where_they_leave_too_few():
    told = sentences(row(n_runs=2, n_unevaluated=1))
    assert told[0].startswith("Descriptive only (n = 2 against")
    assert told[1:] == ["Descriptive only; left out: 1 unevaluated runs, and none of the baseline."]
    assert len(sentences(row(n_runs=2))) == 1


def test_many_tasks_are_adjusted():
    rows = [row(task=f"t{i}", delta=(2.0, 1.9), delta_p=0.03) for i in range(4)]
    told = [sentence for sentence in sentences(*rows) if sentence.startswith("Cannot tell")]
    assert len(told) == 4
    assert all("(adjusted for 4 tests, p = 0.12)" in sentence for sentence in told)
    assert sentences(rows[0])[0].startswith("Improved")


@pytest.mark.parametrize("term", TERMS[1:])
@pytest.mark.parametrize(("p", "told"), [(0.024, True), (0.026, False)])
def test_terms_of_several_tasks_are_one_family(term, p, told):
    """Two tasks: the first is told below half the level, whatever else holds of it."""
    known = {"delta": (2.0, 1.0), term: (1.5, 1.0)}
    rows = [row(**known, **{f"{term}_p_closed": p}), row(task="right", delta=(2.0, 1.0))]
    of_first = told_of(*rows).query("task == 'left'")["sentence"]
    assert of_first.str.startswith("Δ cannot be apportioned").any() != told
    alone = sentences(row(**known, **{f"{term}_p_closed": 0.049}))
    assert not any(sentence.startswith("Δ cannot") for sentence in alone)


def test_a_term_is_no_surer_than_its_difference():
    """The other task has no common loss: Holm's method counts two of Δ, and one of `matched`."""
    known = row(delta=(2.0, 1.0), delta_p=0.02, matched=(1.5, 1.0), matched_p=0.02)
    unread = row(task="right", delta=(2.0, 1.0), delta_p=0.03, matched=(np.nan, 1.0))
    unread |= {"common_loss": np.nan, "matched_p_closed": np.nan}
    adjusted = adjust(pd.DataFrame([known, unread]))
    assert adjusted.loc[0, ["delta_p_adjusted", "matched_p_adjusted"]].tolist() == [0.04, 0.04]


def test_equivalence_is_adjusted_over_tasks():
    """One-sided p at δ = .5 of 0 ± .58: 2.306 · .5 / .58 = 1.99 errors at 8 degrees, .041."""
    rows = [row(task=f"t{i}", delta=(0.0, 0.58)) for i in range(2)]
    assert sentences(rows[0], margin=0.5)[0].startswith("No transfer larger than 0.5")
    told = sentences(*rows, margin=0.5)
    assert [sentence[:11] for sentence in told] == ["Cannot tell"] * 2
    near = [row(task=f"t{i}", delta=(0.0, 0.48)) for i in range(2)]  # 2.40 errors, .022 each
    assert sentences(*near, margin=0.5)[0].startswith("No transfer larger than 0.5: the 90%")
    assert "and adjusted for 2 tests p = 0.043" in sentences(*near, margin=0.5)[0]


def test_many_tasks_are_summed_up_and_the_clearest_told():
    rows = [row(task=f"t{i}", delta=(0.1 * i, 1.0)) for i in range(10)]
    rows += [row(task="up", delta=(3.0, 1.0), delta_p=1e-6), row(task="none", delta=(np.nan, 0.0))]
    told = told_of(*rows, margin=2.5)
    assert told["task"].tolist()[0] == ""
    assert told["sentence"][0].startswith(
        "Of 11 tasks 1 improved and 0 were lowered, in 10 Δ is within ±2.5; of 0 it cannot be told"
    )
    assert "from +0 (t0) to +3 (up); trajlab gap lists all." in told["sentence"][0]
    assert set(told["task"]) == {"", "up", "none"}
    few = told_of(*(row(n=2, task=f"t{i}", delta=(1.0 * i, 0.1)) for i in range(10)))
    assert few["sentence"].tolist() == [
        f"Descriptive only (n = 2): {DELTA} of 10 tasks from +0 (t0) to +9 (t9)."
    ]


def test_the_gap_at_equal_steps_is_told():
    steps = {"at_equal_steps": 0.5, "at_equal_steps_low": -0.5, "at_equal_steps_high": 1.5}
    told = sentences(row(**steps, delta=(0.1, 1.0)))[1]
    assert told.startswith(
        "At equal steps (step 99, the last that all runs made) the difference is +0.5 [-0.5, +1.5]"
    )
    assert "of other sign than Δ" not in told
    assert "of other sign than Δ" in sentences(row(**steps, delta=(-0.1, 1.0)))[1]


@pytest.mark.parametrize(
    ("chosen_on", "said"),
    [
        ("validation", "Δ of test accuracy (evaluations best on validation) = "),
        ("test", "Δ of test accuracy (evaluations best on test itself) = "),
        ("none", "Δ of test accuracy (each run's last evaluations) = "),
    ],
)
def test_what_the_difference_is_of_is_told(chosen_on, said):
    assert said in sentences(row(selection_split=chosen_on))[0]


def test_of_a_metric_of_which_less_is_better_the_sign_is_told():
    told = sentences(row(delta=(2.0, 1.0), metric="mae", higher_is_better=False))[0]
    assert told.startswith("Improved: Δ of test mae (evaluations best on validation; above 0 is b")


@pytest.mark.parametrize(("low", "told"), [(0.101, True), (0.099, False)])
def test_a_decade_of_common_losses_is_not_narrow(low, told):
    said = " ".join(sentences(row(overlap_low=low, overlap_high=1.0)))
    assert ("covers only" in said) == told


@pytest.mark.parametrize("named", ["n_runs", "n_baseline"])
@pytest.mark.parametrize(("n", "descriptive"), [(2, True), (3, False)])
def test_three_runs_a_side_are_enough(named, n, descriptive):
    told = sentences(row(delta=(2.0, 1.0), **{named: n}))[0]
    assert told.startswith("Descriptive only" if descriptive else "Improved")
    many = sentences(*(row(task=f"t{i}", delta=(2.0, 1.0), **{named: n}) for i in range(7)))[0]
    assert many.startswith("Descriptive only" if descriptive else "Of 7 tasks 7 improved")


@pytest.mark.parametrize(("p", "said"), [(0.049, "Improved"), (0.051, "Cannot tell")])
def test_a_difference_is_established_below_the_level(p, said):
    assert sentences(row(delta=(2.0, 1.0), delta_p=p))[0].startswith(said)


@pytest.mark.parametrize(("tasks", "summed"), [(6, False), (7, True)])
def test_more_than_six_tasks_are_summed_up(tasks, summed):
    told = sentences(*(row(task=f"t{i}", delta=(2.0, 1.0)) for i in range(tasks)))
    assert told[0].startswith(f"Of {tasks} tasks") == summed
    gone = {"delta": (np.nan, np.nan), "reason": "none"}
    lacking = sentences(*(row(task=f"t{i}", **gone) for i in range(tasks)))
    assert lacking[0].startswith(f"Not compared: {tasks} tasks") == summed
    assert len(lacking) == (1 if summed else tasks)


def test_of_many_tasks_the_six_clearest_are_told():
    rows = (row(task=f"t{i}", delta=(2.0, 1.0), delta_p=1e-4 * (9 - i)) for i in range(8))
    told = told_of(*rows)
    improved = told[told["sentence"].str.startswith("Improved")]
    assert improved["task"].tolist() == [f"t{i}" for i in (7, 6, 5, 4, 3, 2)]


@pytest.mark.parametrize(("half", "worse"), [(0.9, True), (1.0, False)])
def test_a_side_got_worse_where_its_interval_is_below_0(half, worse):
    reach = {"reach": (1.5, 0.5), "reach_of_baseline": (-1.0, half)}
    told = " ".join(sentences(row(delta=(2.0, 1.0), **reach)))
    assert ("got worse after passing it" in told) == worse


@pytest.mark.parametrize(
    ("delta", "ratio", "further"),
    [
        (2.0, (0.5, 0.4), True),
        (2.0, (0.5, 0.5), False),
        (-2.0, (1.5, 0.4), True),
        (-2.0, (1.5, 0.5), False),
    ],
)
def test_a_side_went_further_where_the_ratio_excludes_1(delta, ratio, further):
    made = row(delta=(delta, 1.0), reach=(0.75 * delta, 0.5), lowest_loss_ratio=ratio)
    told = " ".join(sentences(made))
    assert ("difference in attained loss" in told) == further
    assert ("is not told apart" in told) != further


@pytest.mark.parametrize(("p", "within"), [(0.049, True), (0.051, False)])
def test_equivalence_is_established_below_the_level(p, within):
    bound = stats.t.isf(p, 8)  # the distance from the nearer margin in standard errors
    told = sentences(row(delta=(0.0, 2.306)), margin=float(bound))[0]
    assert told.startswith("No transfer larger") == within
