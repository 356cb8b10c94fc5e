"""Verdicts on C11 of losses that are made up."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from trajlab.study.run import Run

from .conftest import Evaluate, Recorded, jitter, module

NAME = "low_resource"
WEIGHTS = [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]
SAMPLING = ", ".join(f'{{ name = "sampling", weights = {own} }}' for own in WEIGHTS)
RATES = [0.03, 0.1, 0.3]
BEST = '{ best = "mnists tried", per = ["method"] }'
STUDY = f"""
setting = "mnists"
epochs = 3
select = {{ metric = "loss" }}
stage = [
    {{ name = "mnists tried", method = [{SAMPLING}], learning_rate = {RATES}, seed = 100 }},
    {{ name = "mnists weights", method = [{SAMPLING}], learning_rate = {BEST}, seed = [0, 1, 2] }},
    {{ name = "mnists uniform", method = "uniform", seed = 100 }},
    {{ name = "mnists methods", best = ["mnists uniform"], seed = [0, 1, 2] }},
]
"""


def make(test: float, training: float) -> Callable[[Run], Recorded | None]:
    """The middle weights are worse than each task's best choice by these shares of the loss."""

    def make_up(run: Run) -> Recorded | None:
        place = WEIGHTS.index(run.plan.options["weights"]) if run.plan.options else 1
        worse = 0.5 * (run.plan.learning_rate in (0.03, 0.3))
        tables: dict[str, dict[str, np.ndarray]] = {}
        for split, middle in (("train", training), ("validation", test), ("test", test)):
            share = {0: [0, 0.5], 1: [middle, middle], 2: [0.5, 0]}[place]
            loss = 0.4 * (1 + np.array(share) + worse) + jitter(run, (2,), 0.0005)
            after = loss + (0 if split == "train" else 0.3)
            step = np.arange(3)
            tables[f"evaluations/{split}"] = {
                "step": step,
                "loss": np.stack([loss + 1, loss, after]),
            }
        return tables

    return make_up


@pytest.mark.parametrize(
    ("test", "training", "verdict"),
    [
        (0.0, 0.3, "supported"),
        (0.01, 0.03, "supported"),
        (0.01, 0.01, "not supported"),
        (0.03, 0.3, "not supported"),
        (0.02, 0.3, "undecided"),
        (0.0, 0.02, "undecided"),
    ],
)
def test_what_is_made_up_is_found(
    evaluate: Evaluate, test: float, training: float, verdict: str
) -> None:
    found = evaluate(NAME, STUDY, make(test, training), draw=test == 0)
    assert found.code == 0, found.said
    assert found.verdicts == {"C11 mnists": verdict}
    row = found.table("trade-offs").set_index("on").loc["test"]
    assert row["shortfall"] == pytest.approx(test, abs=0.003)
    assert row["compromise"] == "[0.5, 0.5]"


@pytest.mark.parametrize(
    ("test", "training", "verdict"),
    [
        ((0.0, 0.019), (0.021, 0.1), "supported"),
        ((0.0, 0.021), (0.021, 0.1), "undecided"),
        ((0.0, 0.019), (0.019, 0.1), "undecided"),
        ((0.021, 0.1), (0.021, 0.1), "not supported"),
        ((0.019, 0.1), (0.021, 0.1), "undecided"),
        ((0.0, 0.019), (0.0, 0.019), "not supported"),
        ((0.0, 0.019), (0.0, 0.021), "undecided"),
        ((np.nan, np.nan), (np.nan, np.nan), "undecided"),
    ],
)
def test_intervals_on_either_side_of_the_rule(
    test: tuple[float, float], training: tuple[float, float], verdict: str
) -> None:
    sides = [dict(zip(("low", "high"), ends, strict=True)) for ends in (test, training)]
    assert module(NAME).one_best(*sides) == verdict


def test_choices_are_made_on_another_split_than_they_are_measured_on() -> None:
    """The choice best on validation is worse on test than another: its shortfall there counts."""
    rows = [
        {
            "weights": w,
            "seed": seed,
            "method": "sampling",
            "split": split,
            "task": task,
            "loss": loss,
        }
        for w, pair in {"a": (1.0, 1.3), "b": (1.1, 1.1)}.items()
        for seed in range(3)
        for split, by in (("validation", pair), ("test", pair[::-1]))
        for task, loss in zip(("one", "two"), by, strict=True)
    ]
    found = module(NAME).trade_off(pd.DataFrame(rows), "validation", "test")
    assert found["compromise"] == "b"
    # of the first task "a" was chosen, which has 1.3 on test; of the second "b" itself
    assert found["shortfall"] == pytest.approx(0.0)
    assert found["choices"] == 2


def test_a_diverged_choice_is_left_out_and_a_missing_seed_withholds(evaluate: Evaluate) -> None:
    plain = make(0.0, 0.3)

    def diverged(run: Run) -> Recorded | None:
        made = plain(run)
        if made and run.plan.options == {"weights": WEIGHTS[2]} and run.plan.seed == 1:
            made["evaluations/validation"]["loss"][-1] = np.inf
        return made

    assert evaluate(NAME, STUDY, diverged).code == 0


def test_a_missing_seed_withholds_the_verdict(evaluate: Evaluate) -> None:
    plain = make(0.0, 0.3)
    found = evaluate(NAME, STUDY, lambda run: None if run.plan.seed == 2 else plain(run))
    assert found.verdicts == {"C11 mnists": "undecided"}


def test_without_runs_there_is_one_sentence(evaluate: Evaluate) -> None:
    found = evaluate(NAME, STUDY, lambda run: None)
    assert found.code == 1
    assert "no seed is finished with all weights" in found.said
