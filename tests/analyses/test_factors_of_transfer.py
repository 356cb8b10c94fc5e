"""Verdicts on C4 to C6 of runs whose factors are made up."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from trajlab.study.run import Run

from .conftest import Evaluate, Recorded, jitter, module

NAME = "factors_of_transfer"
STUDY = """
setting = "yeast"
epochs = 20
[[stage]]
name = "main"
condition = ["class1+class2", "class1", "class2"]
method = ["uniform", "mgda"]
seed = [0, 1, 2]
"""
TASKS = ("class1", "class2")
# By which sides of which tasks' differences are large: of multi-task runs to single, then of mgda
# to uniform. (rise of the factors, gain in accuracy) of each task, and mgda's rise of the loss.
OPPOSITE = {"class1": (1, 1), "class2": (1, -1)}
ALIKE, ALIKE_MORE = dict.fromkeys(TASKS, (1, -1)), dict.fromkeys(TASKS, (2, -2))


def recorded(run: Run, uniform: Any, mgda: Any, loss: float) -> Recorded:
    """Everything a verdict needs; `uniform` and `mgda` tell each task's shift from single."""
    own = run.plan.setting.tasks(run.plan.condition)
    shifts = {"single": dict.fromkeys(TASKS, (0, 0)), "uniform": uniform, "mgda": mgda}
    shift = np.array([shifts[run.plan.method][task] for task in own], float)
    factor = 5 + shift[:, 0] + jitter(run, (len(own),), 0.01)
    score = 80 + shift[:, 1] + jitter(run, (len(own),), 0.01)
    smallest = 0.1 * (1 + loss * (run.plan.method == "mgda")) + jitter(run, (len(own),), 1e-3)
    step = np.array([0, *range(30, 50)])  # of which 20 are late

    def steady(values: Any) -> Any:
        return np.repeat(values[None], len(step), 0)

    fall = np.linspace(1, 0, len(step))[:, None]
    scores = {"step": step, "loss": smallest + 0.5 * fall, "accuracy": steady(score)}
    return {
        **{f"evaluations/{split}": scores for split in ("train", "validation", "test")},
        "sharpness": {"step": step, "value": steady(factor)[:, :, None]},
        "noise": {"step": step, "covariance_trace": steady(factor)},
        "fisher": {"step": step, "trace": steady(factor)},
    }


@pytest.mark.parametrize(
    ("uniform", "mgda", "loss", "verdicts"),
    [
        (OPPOSITE, OPPOSITE, 1.0, {"C4": "supported", "C6": "supported"}),
        (
            ALIKE,
            dict.fromkeys(TASKS, (2, -2)),
            -0.5,
            {"C4": "not supported", "C6": "not supported"},
        ),
        (dict.fromkeys(TASKS, (0, 0)), ALIKE, 0.0, {"C4": "undecided", "C6": "not supported"}),
    ],
    ids=["no one sign", "one sign", "no difference"],
)
def test_what_is_made_up_is_found(
    evaluate: Evaluate, uniform: Any, mgda: Any, loss: float, verdicts: dict[str, str]
) -> None:
    found = evaluate(NAME, STUDY, lambda run: recorded(run, uniform, mgda, loss), draw=True)
    assert found.verdicts == {**verdicts, "C5": "undecided"}  # two points tell little of a share
    assert (found.out / "quadrants.png").exists()


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.36, 0.64, "supported"),
        (0.7, 1.0, "not supported"),
        (0.0, 0.3, "not supported"),
        (0.3, 0.6, "undecided"),
        (np.nan, np.nan, "undecided"),
    ],
)
def test_a_share_near_one_half(low: float, high: float, verdict: str) -> None:
    assert module(NAME).of_share(low, high) == verdict


def test_unclear_losses_leave_c6_undecided() -> None:
    names = ["loss_raised", "loss_lowered", "better", "worse", "tasks"]
    counts = pd.DataFrame([[3, 1, 0, 1, 14]], columns=names)
    assert module(NAME).few_change(counts) == "undecided"


def test_a_seed_that_is_not_whole_withholds_verdicts(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        missing = run.plan.seed == 2 and run.plan.method == "mgda"
        return None if missing else recorded(run, OPPOSITE, OPPOSITE, 1.0)

    found = evaluate(NAME, STUDY, make_up)
    table = found.table("verdicts")
    assert (table["verdict"] == "undecided").all()
    assert (table["lacks"] == "2 of 3 seeds are trained").all()


def test_a_method_that_was_not_begun_makes_no_seed_whole(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        return None if run.plan.method == "mgda" else recorded(run, OPPOSITE, OPPOSITE, 1.0)

    found = evaluate(NAME, STUDY, make_up)
    assert found.code == 1
    assert "0 of 3 seeds are finished with every method" in found.said
