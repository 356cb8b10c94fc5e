"""Verdicts on C13 and C17 of runs whose accuracies are made up."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from trajlab.study.run import Run

from .conftest import YEAST_PAIR, Evaluate, Recorded, intervals, module

NAME = "tuning"
RATES = [0.01, 0.02, 0.1, 0.2, 1.0, 2.0]  # two sparse grids of three
METHODS = ["mgda", "pcgrad"]
CHOSEN = ["yeast uniform", "yeast mgda", "yeast pcgrad"]
STUDY = f"""{YEAST_PAIR}
stage = [
    {{ name = "rates", learning_rate = {RATES}, seed = [0, 1, 2] }},
    {{ name = "yeast uniform", learning_rate = [0.1, 0.3], seed = 100 }},
    {{ name = "yeast mgda", method = "mgda", seed = 100 }},
    {{ name = "yeast pcgrad", method = "pcgrad", seed = 100 }},
    {{ name = "yeast chosen", best = {CHOSEN}, seed = [10, 11, 12, 13] }},
]
"""


def recorded(validation: float, test: float) -> Recorded:
    """Two tasks, a point below and above; the last evaluation is worse on validation."""
    step = np.array([0, 1, 2])
    ones = np.ones((3, 2)) * [-1, 1]

    def table(values: list[float]) -> dict[str, np.ndarray]:
        return {"step": step, "loss": abs(ones), "accuracy": ones + np.array(values)[:, None]}

    return {
        "evaluations/train": table([0, 1, 1]),
        "evaluations/validation": table([0, validation, validation - 1]),
        "evaluations/test": table([0, test, test + 5]),  # where it is not to be read
    }


def make(between: float, gaps: dict[str, float]) -> Callable[[Run], Recorded | None]:
    """Second grid's accuracies lie `between` above the first's; methods' by `gaps`."""

    def make_up(run: Run) -> Recorded | None:
        plan = run.plan
        noise = (plan.seed % 3 - 1) * 0.1
        if plan.seed < 10 and plan.method == "uniform":
            place = RATES.index(plan.learning_rate)
            level = 80 + between * (place % 2) - 10 * (place > 1)
            # the noise of one grid is the other's reversed: no effect of the seed itself
            return recorded(level, level + noise * (1 if place % 2 else -1))
        level = 80 + gaps.get(plan.method, 0.0) - 20 * (plan.learning_rate == 0.3)
        sign = 1 if plan.method == "uniform" else -1
        return recorded(level, level + sign * noise)

    return make_up


def verdicts(evaluate: Evaluate, make_up: Callable[[Run], Recorded | None]) -> dict[str, str]:
    found = evaluate(NAME, STUDY, make_up)
    assert found.code == 0, found.said
    return found.verdicts


def test_what_is_made_up_is_found(evaluate: Evaluate) -> None:
    equal = dict.fromkeys(METHODS, 0.1)
    assert verdicts(evaluate, make(20.0, equal)) == {"C13": "supported", "C17 yeast": "supported"}


def test_alike_grids_and_one_better_method_contradict(evaluate: Evaluate) -> None:
    found = verdicts(evaluate, make(0.0, {"mgda": 0.0, "pcgrad": 3.0}))
    assert found["C17 yeast"] == "not supported"
    assert found["C13"] == "not supported"


def test_a_diverged_run_leaves_equivalence_undecided(evaluate: Evaluate) -> None:
    plain = make(20.0, dict.fromkeys(METHODS, 0.0))

    def make_up(run: Run) -> Recorded | None:
        made = plain(run)
        if made and run.plan.method == "mgda" and run.plan.seed == 11:
            made["evaluations/validation"]["loss"][-1] = np.inf
        return made

    assert verdicts(evaluate, make_up) == {"C13": "supported", "C17 yeast": "undecided"}


def test_a_missing_seed_withholds_verdicts(evaluate: Evaluate) -> None:
    plain = make(20.0, dict.fromkeys(METHODS, 0.0))

    def make_up(run: Run) -> Recorded | None:
        return None if run.plan.seed in (2, 13) else plain(run)

    table = evaluate(NAME, STUDY, make_up).table("verdicts")
    assert (table["verdict"] == "undecided").all()
    assert table["lacks"].tolist() == [
        "2 of 3 seeds are trained",
        "3 of 4 seeds are trained",
    ]
    assert (table["so_far"] == "supported").all()


def test_without_runs_there_is_one_sentence(evaluate: Evaluate) -> None:
    found = evaluate(NAME, STUDY, lambda run: None)
    assert found.code == 1
    assert "no seed is finished in any stage" in found.said


@intervals(
    supported=[(1.01, 9.0)],
    undecided=[(0.99, 9.0), (0.0, 1.01)],
    not_supported=[(0.0, 0.99)],
)
def test_a_ratio_on_either_side_of_one(low: float, high: float, verdict: str) -> None:
    assert module(NAME).matters_more(low, high) == verdict


def test_the_ratio_has_its_interval_in_nineteen_of_twenty_studies() -> None:
    """Six grids and three seeds whose standard deviations have the ratio 2."""
    script, rng = module(NAME), np.random.default_rng(0)
    index = pd.MultiIndex.from_product([range(6), range(3)], names=["grid", "seed"])
    inside = []
    for _ in range(400):
        values = np.repeat(rng.normal(0, 2, 6), 3) + rng.normal(0, 1, 18)
        found = script.spread(pd.Series(values, index, name="test").reset_index())
        inside.append(found["low"] < 2 < found["high"])
    assert 0.92 < np.mean(inside) < 0.98


def test_the_best_of_a_grid_is_chosen_on_validation_and_not_among_diverged() -> None:
    nan = np.nan
    rows = pd.DataFrame(
        {
            "seed": 0,
            "learning_rate": RATES,
            "validation": [1.0, nan, 3.0, nan, 2.0, nan],
            "test": [30.0, nan, 10.0, nan, 20.0, nan],
        }
    )
    best = module(NAME).best_of_grids(rows)
    assert best["learning_rate"].tolist()[0] == 0.1
    assert best["test"].tolist()[0] == 10.0
    assert best["test"].isna().tolist() == [False, True]
    assert np.isnan(module(NAME).spread(best)["ratio"])


def compared(difference: float) -> pd.DataFrame:
    """Two methods, one equal and one `difference` below uniform, by eight seeds."""
    apart = np.tile([-0.1, 0.1], 4)
    rows = [
        {"seed": seed, "method": name, "test": 80 + shift + noise}
        for seed, noise in enumerate(apart)
        for name, shift, noise in (
            ("uniform", 0, 0),
            ("mgda", 0, noise),
            ("pcgrad", -difference, noise),
        )
    ]
    return module(NAME).comparisons(pd.DataFrame(rows))


@pytest.mark.parametrize(
    ("difference", "verdict"),
    # the 90 % interval is ±.072 wide, the adjusted 95 % one ±.107
    [
        (0.42, "supported"),
        (-0.42, "supported"),
        (0.44, "undecided"),
        (0.60, "undecided"),
        (0.62, "not supported"),
        (-0.62, "not supported"),
    ],
)
def test_equivalence_on_either_side_of_its_margin(difference: float, verdict: str) -> None:
    assert module(NAME).match(compared(difference), 2) == verdict


def test_a_comparison_that_is_missing_counts() -> None:
    found = compared(0.0)
    assert module(NAME).match(found, 2) == "supported"
    assert module(NAME).match(found, 3) == "undecided"
    assert module(NAME).match(found.iloc[:0], 2) == "undecided"
