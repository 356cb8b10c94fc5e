"""What is said of factors."""

import pandas as pd
import pytest

from tests.analysis.results import made_up
from trajlab.analysis import verdict
from trajlab.analysis.factors.sentences import of_no_logarithm
from trajlab.analysis.interface.sentence import TOLD_SINGLY


def factor(task="left", p_value=0.001, delta=0.5, **changes):
    made = {"setting": "digits", "condition": "+x", "method": "uniform", "task": task}
    made |= {"baseline": "method=single", "n_baseline": 5, "n_runs": 5, "factor": "fisher"}
    made |= {"metric": "", "at": "0.001", "delta": delta, "low": delta - 0.1, "high": delta + 0.1}
    made |= {"n_no_logarithm": 0, "n_no_logarithm_baseline": 0}
    return {**made, "relative": 0.5, "ratio": 1.5, "p_value": p_value, "reason": "", **changes}


def metric(task="left", p_value=0.001, **changes):
    """Return the row of the metric itself: what a factor is held against."""
    made = {"metric": "accuracy", "factor": "final_metric", "at": "end", **changes}
    return factor(task, p_value, **made)


def told_of(*rows):
    """Return the verdict on rows of the differences."""
    return verdict([made_up("factors", delta=pd.DataFrame(rows))])


def test_a_factor_at_equal_loss_speaks_and_one_at_the_end_does_not():
    told = told_of(metric(), factor(), factor(at="end"), factor(factor="sharpness", p_value=0.2))
    assert told["sentence"].tolist() == [
        "Fisher trace differs at equal training loss (L = 0.001): +0.5 [+0.4, +0.6], 1.5 times the "
        "baseline's. In the end accuracy differs too, but one setting cannot show cause."
    ]
    both = [factor(p_value=0.03), factor(factor="sharpness", p_value=0.03)]
    assert told_of(metric(), *both).empty  # Holm over the factors of a comparison
    many = [factor(f"t{i}", delta=(-1) ** i * 0.5) for i in range(TOLD_SINGLY + 3)]
    (sentence,) = told_of(*(metric(row["task"]) for row in many), *many)["sentence"]
    assert sentence.startswith(
        "Fisher trace differs at equal training loss on 9 of 9 tasks where in the end accuracy "
        "differs too, "
    )


def test_a_factor_is_told_only_where_the_metric_differs():
    assert len(told_of(metric(p_value=0.049), factor())) == 1
    assert told_of(metric(p_value=0.051), factor()).empty
    assert told_of(factor()).empty
    two = [metric(p_value=0.03), metric(p_value=0.03, method="pcgrad"), factor()]
    assert told_of(*two).empty  # Holm over the methods that share a baseline
    for p_value, said in ((0.049, 1), (0.051, 0)):  # a clear method does not vouch for another
        other = {"method": "pcgrad"}
        assert len(told_of(metric(), metric(p_value=p_value, **other), factor(**other))) == said
    few = {"n_runs": 2}
    assert told_of(metric(**few), factor(**few)).empty


def test_the_metrics_that_differ_are_named():
    rows = [metric(), metric(metric="auc"), metric(metric="f1", p_value=0.2), factor()]
    (sentence,) = told_of(*rows)["sentence"]
    assert "In the end accuracy and auc differ too" in sentence


def test_a_factor_without_a_ratio_gives_none():
    """The baseline's mean is 0 or below, as an eigenvalue may be."""
    (sentence,) = told_of(metric(), factor(ratio=float("nan")))["sentence"]
    assert sentence.startswith("Fisher trace differs at equal training loss (L = 0.001): +0.5 [")
    assert "times" not in sentence


def test_factors_of_several_tasks_are_one_family():
    """Two tasks, one factor each: the smaller p is told below half the level."""
    for p_value, said in ((0.024, 1), (0.026, 0)):
        rows = [metric(), metric("right"), factor(p_value=p_value), factor("right", 0.5)]
        assert len(told_of(*rows)) == said


@pytest.mark.parametrize(
    ("counts", "number", "names"),
    [
        ([(0, 0), (0, 0)], 0, ""),
        ([(1, 0), (0, 0)], 1, "Fisher trace"),
        ([(0, 0), (0, 3)], 3, "Sharpness"),
        ([(1, 2), (4, 0)], 7, "Fisher trace, Sharpness"),
    ],
)
def test_values_whose_loss_has_no_logarithm_are_counted_once_a_factor(counts, number, names):
    """Each factor is read at two losses, with the same counts; at the end all have a place."""
    rows = [
        factor(factor=name, at=at, n_no_logarithm=own, n_no_logarithm_baseline=other)
        | {"x": "loss", "loss": "train/loss"}
        for name, (own, other) in zip(("fisher", "sharpness"), counts, strict=True)
        for at in ("0.001", "0.01")
    ]
    at_end = factor(factor="hessian_top", at="end", n_no_logarithm=9)
    told = list(of_no_logarithm(pd.DataFrame([*rows, at_end])))
    assert [values["n_no_logarithm"] for _, values in told] == [number] * bool(number)
    for text, _ in told:
        assert text.startswith(f"{names}: at equal training loss only losses above 0 are compared")
        assert f"; {number} evaluations have one at or below 0" in text
