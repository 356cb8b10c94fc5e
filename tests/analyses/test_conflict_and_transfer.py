"""Verdicts on C7 to C9 of runs whose similarities are made up."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from trajlab.study.run import Run

from .conftest import Evaluate, Evaluated, Recorded, intervals, module

NAME = "conflict_and_transfer"
TARGETS = ("class7", "class13")
OTHERS = [f"class{number}" for number in (1, 2, 3, 4)]
SETS = [
    "+".join((target, *chosen))
    for target in TARGETS
    for K in (1, 2, 3)
    for chosen in list(combinations(OTHERS, K))[:3]
]
STUDY = """
setting = "yeast"
epochs = 20
[[stage]]
name = "sets"
condition = {sets}
seed = {seeds}
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the full garbage collection at every call of statsmodels' multipletests."""
    monkeypatch.setattr("gc.collect", lambda: 0)


def recorded(run: Run, factor: int, accuracy: dict[str, int]) -> Recorded:
    """Factors and accuracies follow the cosine to the update with these signs.

    It falls with K as orthogonal gradients do, and from set to set; the corrected cosine rises.
    """
    own = run.plan.setting.tasks(run.plan.condition)
    place = SETS.index(run.plan.condition) % 3
    cosine = len(own) ** -0.5 + 0.005 * place
    step = np.array([0, *range(30, 50)])  # of which 20 are late
    ones = np.ones((len(step), len(own)))
    pairs = np.full((len(step), len(own), len(own)), 0.8 - cosine)
    seed = 1e-4 * run.plan.seed
    scores = {
        "step": step,
        "loss": ones * np.linspace(1, 0.1, len(step))[:, None],
        "accuracy": ones * (80 + accuracy[own[0]] * cosine + seed),
    }
    shift = ones * (5 + factor * cosine + seed)
    return {
        **{f"evaluations/{split}": scores for split in ("train", "validation", "test")},
        "sharpness": {"step": step, "value": shift[:, :, None]},
        "noise": {"step": step, "covariance_trace": shift},
        "fisher": {"step": step, "trace": shift},
        "similarity": {"step": step, "cosine": pairs, "cosine_to_update": ones * (cosine + seed)},
    }


def verdicts(found: Evaluated, how: str) -> dict[tuple[str, str], str]:
    table = found.table("verdicts").query("how == @how")
    return dict(
        zip(zip(table["claim"], table["similarity"], strict=True), table["verdict"], strict=True)
    )


def test_what_is_made_up_is_found(evaluate: Evaluate) -> None:
    opposite = dict(zip(TARGETS, (1, -1), strict=True))
    found = evaluate(
        NAME,
        STUDY.format(sets=SETS, seeds=[0]),  # the unit is the set: one seed of each is enough
        lambda run: recorded(run, -1, opposite),
        draw=True,
    )
    claims = {
        ("C7", "to_update"): "supported",
        ("C7", "corrected"): "not supported",  # it falls where the other rises
        ("C8", "to_update"): "supported",
        ("C8", "corrected"): "supported",
    }
    of_k = {("C9", "to_update"): "supported", ("C9", "corrected"): "not supported"}
    assert verdicts(found, "raw") == claims | of_k
    assert verdicts(found, "given K") == claims
    assert (found.table("verdicts")["n"] == 1).all()
    assert (found.table("similarity-and-factors").query("how == 'within K'")["n"] == 3).all()
    assert (found.out / "similarity.png").exists()


def test_the_other_way_round_it_is_not_found() -> None:
    """From the table of sets on."""
    script = module(NAME)
    K = np.repeat([1, 2, 3], 4)
    cosine = (K + 1) ** -0.5 + 0.005 * np.tile(np.arange(4), 3)
    columns = {"K": K, "to_update": cosine, "corrected": 0.8 - cosine}
    same = dict.fromkeys([*script.FACTORS, "final_metric"], cosine)
    sets = [f"set{number}" for number in range(12)]
    points = pd.concat(
        pd.DataFrame({"task": target, "condition": sets, **columns, **same}) for target in TARGETS
    )
    points = points.assign(setting="yeast", law=(points["K"] + 1) ** -0.5)
    factors = script.correlations(points, ["sharpness"])
    metric = script.correlations(points, ["final_metric"])
    table = script.verdicts(script.correlations(points, ["law"], script.RAW), factors, metric)
    told = table.set_index(["claim", "similarity", "how"])["verdict"].to_dict()
    for how in ("raw", "given K"):
        assert told["C7", "to_update", how] == "not supported"
        assert told["C7", "corrected", how] == "supported"
        assert told["C8", "to_update", how] == "not supported"
        assert told["C8", "corrected", how] == "not supported"


def test_seeds_that_are_not_whole_withhold_verdicts(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        return None if run.plan.seed > 0 else recorded(run, -1, dict.fromkeys(TARGETS, 1))

    table = evaluate(NAME, STUDY.format(sets=SETS[:9], seeds=[0, 1, 2]), make_up).table("verdicts")
    assert (table["verdict"] == "undecided").all()
    assert (table["lacks"] == "1 of 3 seeds are trained").all()
    assert "supported" in set(table["so_far"])


def test_without_a_whole_seed_there_is_one_sentence(evaluate: Evaluate) -> None:
    found = evaluate(NAME, STUDY.format(sets=SETS[:1], seeds=[0]), lambda run: None)
    assert found.code == 1
    assert "no seed is finished in every set" in found.said


def rows(*numbers: tuple[float, float, float, float]) -> pd.DataFrame:
    """Correlations of targets: estimate, interval, adjusted p."""
    return pd.DataFrame(numbers, columns=["estimate", "low", "high", "p_adjusted"])


@pytest.mark.parametrize(
    ("p", "clear"),
    [
        ([0.0166, 0.9, 0.9], True),  # .05 / 3
        ([0.0168, 0.9, 0.9], False),
        ([0.0166, np.nan, np.nan], True),  # what is missing counts
        ([0.0168, np.nan, np.nan], False),
    ],
)
def test_holm_counts_every_target(p: list[float], clear: bool) -> None:
    found = module(NAME).adjusted(pd.Series(p))
    assert (found[0] < 0.05) == clear
    assert found.isna().tolist() == np.isnan(p).tolist()


UP, DOWN, UNCLEAR_UP = (0.6, 0.1, 0.8, 0.049), (-0.6, -0.8, -0.1, 0.049), (0.6, 0.1, 0.8, 0.051)
MISSING = (np.nan,) * 4


@pytest.mark.parametrize(
    ("numbers", "c7", "c8"),
    [
        ((DOWN, DOWN), "supported", "not supported"),
        ((UP, UP), "not supported", "not supported"),
        ((UP, DOWN), "undecided", "supported"),
        ((UNCLEAR_UP, DOWN), "supported", "undecided"),
        ((UNCLEAR_UP, UP), "not supported", "undecided"),
        ((MISSING, UP), "not supported", "undecided"),
        ((UNCLEAR_UP, MISSING), "undecided", "undecided"),
    ],
)
def test_a_sign_counts_below_the_level(numbers: tuple[Any, ...], c7: str, c8: str) -> None:
    script = module(NAME)
    assert (script.worsens(rows(*numbers)), script.no_consistent_sign(rows(*numbers))) == (c7, c8)


@intervals(
    supported=[(0.501, 0.9)],
    undecided=[(0.499, 0.9), (-0.2, 0.501)],
    not_supported=[(-0.2, 0.499)],
)
def test_strong_is_an_interval_beside_one_half(low: float, high: float, verdict: str) -> None:
    sure = (0.9, 0.8, 0.95, 0.001)
    assert module(NAME).strong(rows(sure, (0.7, low, high, 0.001))) == verdict


@pytest.mark.parametrize(
    ("n", "targets", "given", "wanted"), [(24, 3, 1, 0.53), (38, 3, 1, 0.79), (39, 3, 1, 0.80)]
)
def test_power_is_known_beforehand(n: int, targets: int, given: int, wanted: float) -> None:
    """By simulation too: of 4,000 normal samples of 24, partialled for one other variable."""
    script = module(NAME)
    assert script.power(n, targets, given) == pytest.approx(wanted, abs=0.01)
    assert script.power(4, targets, given) == 0
    rng = np.random.default_rng(0)
    x, noise, other = rng.normal(size=(3, 4000, n))
    other -= other.mean(-1, keepdims=True)
    pair = np.stack((x, 0.5 * x + np.sqrt(0.75) * noise))
    pair -= pair.mean(-1, keepdims=True)
    slope = (pair * other).sum(-1) / (other**2).sum(-1)
    a, b = pair - slope[..., None] * other
    r = (a * b).sum(-1) / np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
    freedom = n - 2 - given
    t = r * np.sqrt(freedom / (1 - r**2))
    found = (2 * student.sf(np.abs(t), freedom) < 0.05 / targets).mean()
    assert script.power(n, targets, given) == pytest.approx(found, abs=0.04)


def test_prediction_leaves_a_set_out() -> None:
    """The metric follows K and the one similarity; the other is noise."""
    rng = np.random.default_rng(0)
    K = np.repeat([1, 4, 9], 8)
    useful, noise = rng.normal(size=(2, 24))
    points = pd.DataFrame({"task": "class7", "K": K, "to_update": useful, "corrected": noise})
    points = points.assign(final_metric=70 + K + 3 * useful + 0.1 * rng.normal(size=24))
    found = module(NAME).prediction(points).set_index("similarity")
    assert found.loc["to_update", "r2_K_and_similarity"] > 0.99
    assert found.loc["corrected", "r2_K_and_similarity"] < found.loc["corrected", "r2_K"] < 0.8
    lone = points.assign(final_metric=1.0)
    assert module(NAME).prediction(lone)[["r2_K", "r2_K_and_similarity"]].isna().all(axis=None)


def test_what_is_left_out_is_not_fitted() -> None:
    """Mean of the others: of 0, 0, 0, 4 each error is (y - mean) * n / (n - 1), so R² is 0."""
    target = np.array([0.0, 0.0, 0.0, 4.0])
    assert module(NAME).left_out(np.ones((4, 1)), target) == pytest.approx(0)
