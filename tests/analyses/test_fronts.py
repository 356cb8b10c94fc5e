"""Verdicts on C10, C12, C14 and C15 of runs that are made up."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from trajlab.study.run import Run

from .conftest import YEAST_PAIR, Evaluate, Recorded, intervals, module

NAME = "fronts"
WEIGHTS = [[0.2, 0.8], [0.5, 0.5], [0.8, 0.2]]
STATIC = ", ".join(f'{{ name = "static", weights = {own} }}' for own in WEIGHTS)
ADAPTIVE = ("gradnorm", "imtl", "mgda", "pcgrad")
STAGES = "".join(
    f'[[stage]]\nname = "{m}"\nmethod = "{m}"\nlearning_rate = [0.1, 0.2]\nseed = 100\n'
    for m in ADAPTIVE
)
STUDY = f"""{YEAST_PAIR}
[[stage]]
name = "scalarization"
method = [{STATIC}]
seed = 100
{STAGES}
[[stage]]
name = "fresh"
front = ["scalarization", "gradnorm", "imtl", "mgda", "pcgrad"]
seed = [0, 1, 2]
[[stage]]
name = "rates"
method = ["uniform", "mgda"]
learning_rate = [0.01, 1.0]
seed = [0, 1, 2]
"""


def recorded(run: Run, lead: float, moving: float, slope: float) -> Recorded:
    """Weights trade the tasks off; others lie `lead` points beyond, their weights move by `moving`.

    MGDA leads uniform weights by `slope` at the small rate and trails by it at the large one.
    """
    plan = run.plan
    weights = plan.options.get("weights", [0.5, 0.5])
    noise = 0.05 * (plan.seed % 3 - 1) * (1 if plan.method == "static" else -1)
    score = 80 + 10 * np.array(weights) + noise
    if plan.learning_rate == 0.2:  # two points a front, whose runs differ in more than the seed
        score += np.array([0.02, -0.02])
    if plan.method in ADAPTIVE:
        score += lead
    if plan.learning_rate in (0.01, 1.0):
        score += slope * (plan.method == "mgda") * (1 if plan.learning_rate == 0.01 else -1)
    step = np.arange(3)
    ones = np.ones((3, 2))
    scores = {"step": step, "loss": ones, "accuracy": score - 5 * (step != 1)[:, None]}
    moved = np.exp(moving * np.array([[1, 0], [0, 0], [-1, 0]]))
    losses = {"step": step, "loss": ones, "weight": weights * moved}
    return {
        **{f"evaluations/{split}": scores for split in ("train", "validation", "test")},
        "losses": losses,
    }


def make(lead: float, moving: float, slope: float) -> Callable[[Run], Recorded | None]:
    return lambda run: recorded(run, lead, moving, slope)


def test_what_is_made_up_is_found(evaluate: Evaluate) -> None:
    found = evaluate(NAME, STUDY, make(0.1, 0.01, 3.0), draw=True)
    assert found.code == 0, found.said
    assert found.verdicts == {
        "C10": "supported",
        "C12": "supported",
        "C14": "supported",
        "C15": "undecided",  # no flags were recorded
    }
    assert (found.out / "fronts.png").exists()


def test_the_other_way_round_it_is_not_found(evaluate: Evaluate) -> None:
    found = evaluate(NAME, STUDY, make(6.0, 0.5, 0.0))  # beyond the front's ends too
    assert found.verdicts["C10"] == "not supported"
    assert found.verdicts["C12"] == "not supported"
    assert found.verdicts["C14"] != "supported"


def test_a_missing_seed_withholds_verdicts(evaluate: Evaluate) -> None:
    plain = make(0.1, 0.01, 3.0)
    table = evaluate(NAME, STUDY, lambda run: None if run.plan.seed == 2 else plain(run)).table(
        "verdicts"
    )
    assert (table["verdict"] == "undecided").all()
    assert (table["lacks"] == "2 of 3 seeds are trained").all()


def test_without_a_whole_front_there_is_one_sentence(evaluate: Evaluate) -> None:
    found = evaluate(
        NAME, STUDY, lambda run: None if run.plan.method == "mgda" else recorded(run, 0, 0, 0)
    )
    assert found.code == 1
    assert "no seed is finished on every front" in found.said
    lacking = found.table("cost").set_index("stage").loc["mgda"]
    assert lacking[["wanted", "finished"]].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("low", "high", "wanted", "verdict"),
    [
        (-0.4, 0.49, 2, "supported"),
        (-0.4, 0.51, 2, "undecided"),
        (0.0, 0.49, 2, "supported"),
        (0.01, 0.49, 2, "not supported"),
        (-0.4, 0.49, 3, "undecided"),  # one method is missing
        (np.nan, np.nan, 2, "undecided"),
    ],
)
def test_a_distance_on_either_side(low: float, high: float, wanted: int, verdict: str) -> None:
    rows = pd.DataFrame({"low": [-1.0, low], "high": [-0.5, high]})
    assert module(NAME).beyond(rows, wanted) == verdict


@pytest.mark.parametrize(
    ("low", "high", "methods", "verdict"),
    [
        (0.05, 0.099, ADAPTIVE, "supported"),
        (0.05, 0.101, ADAPTIVE, "undecided"),
        (0.101, 0.2, ADAPTIVE, "not supported"),
        (0.05, 0.099, ADAPTIVE[1:], "undecided"),
        (np.nan, np.nan, ADAPTIVE, "undecided"),
    ],
)
def test_weights_that_move_on_either_side(
    low: float, high: float, methods: tuple[str, ...], verdict: str
) -> None:
    rows = pd.DataFrame({"method": methods, "low": low, "high": high})
    drawn = pd.DataFrame({"method": ["random normal"], "low": [1.0], "high": [2.0]})
    assert module(NAME).still(pd.concat([rows, drawn])) == verdict


def pair(*ends: tuple[float, float]) -> pd.DataFrame:
    low, high = zip(*ends, strict=True)
    return pd.DataFrame({"method": "a", "baseline": "b", "low": low, "high": high})


@pytest.mark.parametrize(
    ("utility", "rates", "verdict"),
    [
        (pair((0.1, 1), (-1, -0.1)), pair((-1, 1)), "supported"),
        (pair((0.1, 1), (-1, 0.1)), pair((-1, 1)), "undecided"),  # one interval holds 0
        (pair((0.1, 1), (0.1, 2)), pair((0.1, 1), (-2, -1)), "supported"),
        (pair((0.1, 1), (0.1, 2)), pair((0.1, 1), (0.2, 3)), "not supported"),
        (pair((0.1, 1), (0.1, 2)), pair((0.1, 1), (-0.2, 3)), "undecided"),
        (pair((0.1, 1)), pair((0.1, 1)).iloc[:0], "undecided"),  # rates were not compared
    ],
)
def test_an_order_that_reverses(utility: pd.DataFrame, rates: pd.DataFrame, verdict: str) -> None:
    assert module(NAME).flips(utility, rates) == verdict


def test_differences_over_rates_are_paired_and_a_diverged_rate_has_none() -> None:
    rows = pd.DataFrame(
        [
            (method, rate, seed, 80 + seed + 2 * (method == "uniform") + 0.1 * (seed == 1) * rate)
            for method in ("mgda", "uniform")
            for rate in (0.1, 1.0)
            for seed in (0, 1, 2)
        ],
        columns=["method", "learning_rate", "seed", "test"],
    )
    rows.loc[(rows["learning_rate"] == 1.0) & (rows["seed"] == 2), "test"] = np.nan
    found = module(NAME).rate_flips(rows)
    assert found["mean"][0] == pytest.approx(-2)
    assert found["high"][0] < 0
    assert found[["mean", "low", "high"]].iloc[1].isna().all()


def test_ranks_are_by_utility_whichever_of_a_pair_the_weights_are() -> None:
    weights = [f"left={own}, right={1 - own}" for own in (0.2, 0.8)]
    rows = [
        ("scalarization", "method=mgda", weights[0], -1.0),  # MGDA is better
        ("scalarization", "method=mgda", weights[1], 2.0),
        ("imtl", "method=scalarization", weights[0], -3.0),
        ("imtl", "method=scalarization", weights[1], 0.5),
        ("mgda", "method=imtl", weights[0], 9.0),  # of no weights: told by the others
    ]
    table = pd.DataFrame(rows, columns=["method", "baseline", "weights", "difference"])
    found = module(NAME).ranks(table)
    assert found.loc[0.2].to_dict() == {"mgda": 1, "scalarization": 2, "imtl": 3}
    assert found.loc[0.8].to_dict() == {"imtl": 1, "scalarization": 2, "mgda": 3}


@intervals(
    supported=[(0.01, 0.5)],
    undecided=[(-0.01, 0.5), (-0.01, 0.11)],
    not_supported=[(-0.01, 0.09)],
)
def test_optimism_on_either_side(low: float, high: float, verdict: str) -> None:
    assert module(NAME).optimistic(pd.Series({"low": low, "high": high})) == verdict


def test_the_best_of_many_noisy_evaluations_is_optimistic_and_of_one_is_not() -> None:
    """Of m independent evaluations of equal truth, the best lies above by the noise's maximum."""
    script, rng = module(NAME), np.random.default_rng(0)
    flags = rng.random((9, 2, 10_000)) < 0.8
    noise = 100 * np.sqrt(0.8 * 0.2 / (2 * script.SMALL))  # two tasks' mean, in points
    # the last one is among those chosen from, and its own noise has mean 0
    assert script.small_optimism(flags, 0) == pytest.approx(1.485 * noise, rel=0.25)
    assert script.small_optimism(flags[:1].repeat(9, 0), 0) == pytest.approx(0, abs=1e-12)


def test_movement_is_of_shares_and_a_vanishing_weight_moves_finitely() -> None:
    class Of:
        def __init__(self, weight: list[list[float]]) -> None:
            self._weight = np.array(weight)

        def table(self, _: str) -> dict[str, np.ndarray]:
            return {"weight": self._weight}

    script = module(NAME)
    assert script.movement(Of([[1, 1], [5, 5], [0.1, 0.1]])) == pytest.approx(0)
    moved = script.movement(Of([[1, 0], [0.5, 0.5]]))
    assert moved == pytest.approx(np.log(50) / np.sqrt(2))
    assert np.isnan(script.movement(Of([[1, np.nan], [1, 1]])))
