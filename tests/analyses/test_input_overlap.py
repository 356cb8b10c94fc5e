"""Verdicts on C19 of runs whose similarities and losses are made up."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from trajlab.study.run import Run

from .conftest import Evaluate, Recorded, jitter, module

NAME = "input_overlap"
PAIRS = ["+".join(pair) for pair in combinations([f"class{n}" for n in range(1, 7)], 2)]
TASKS = [f"class{n}" for n in range(1, 7)]
STUDY = f"""
setting = "yeast"
epochs = 3
select = {{ metric = "loss" }}
stage = [
    {{ name = "pairs", condition = {PAIRS}, overlap = [0.0, 0.5, 1.0] }},
    {{ name = "alone", condition = {TASKS}, overlap = 0.0 }},
]
"""


def recorded(run: Run, slopes: dict[float, float]) -> Recorded:
    """With similarity the first task's loss falls by the overlap's slope, from its loss alone."""
    own = run.plan.setting.tasks(run.plan.condition)
    step = np.arange(3)
    level = 1 + 0.3 * TASKS.index(own[0])  # of the task, which transfer takes off
    loss = np.full(len(own), level)
    tables: dict[str, dict[str, np.ndarray]] = {}
    if len(own) == 2:
        similarity = PAIRS.index(run.plan.condition) / len(PAIRS)
        assert run.plan.overlap is not None
        loss -= 0.1 * slopes[run.plan.overlap] * similarity + jitter(run, (2,), 0.003)
        tables["similarity"] = {"step": step, "cosine": np.full((3, 2, 2), similarity)}
    scores = {"step": step, "loss": loss + np.array([[0.5], [0.0], [0.2]])}
    return {**{f"evaluations/{s}": scores for s in ("train", "validation", "test")}, **tables}


@pytest.mark.parametrize(
    ("slopes", "verdict"),
    [
        ({0.0: 0.0, 0.5: 0.5, 1.0: 1.0}, "supported"),
        ({0.0: 1.0, 0.5: 0.5, 1.0: -1.0}, "not supported"),
        ({0.0: 1.0, 0.5: 1.0, 1.0: 1.0}, "undecided"),  # it does not rise
    ],
)
def test_what_is_made_up_is_found(
    evaluate: Evaluate, slopes: dict[float, float], verdict: str
) -> None:
    found = evaluate(NAME, STUDY, lambda run: recorded(run, slopes), draw=verdict == "supported")
    assert found.code == 0, found.said
    assert found.verdicts == {"C19": verdict}
    table = found.table("verdicts")
    assert (table["n"].item(), table["pairs"].item()) == (1, len(PAIRS))
    rows = found.table("correlations").set_index("overlap")["estimate"]
    assert rows["1.0"] == pytest.approx(np.sign(slopes[1.0]), abs=0.1)


def test_a_missing_pair_is_no_whole_seed(evaluate: Evaluate) -> None:
    def make_up(run: Run) -> Recorded | None:
        return None if run.plan.condition == PAIRS[3] else recorded(run, {0.0: 0, 0.5: 0, 1.0: 1})

    found = evaluate(NAME, STUDY, make_up)
    assert found.code == 1
    assert "no seed is finished with every pair" in found.said


@pytest.mark.parametrize(
    ("full", "rise", "verdict"),
    [
        ((0.01, 0.5), (0.01, 0.5), "supported"),
        ((-0.01, 0.5), (0.01, 0.5), "undecided"),
        ((0.01, 0.5), (-0.01, 0.5), "undecided"),
        ((0.01, 0.5), (-0.5, -0.01), "not supported"),
        ((-0.2, 0.29), (0.01, 0.5), "not supported"),
        ((-0.2, 0.31), (0.01, 0.5), "undecided"),
        ((np.nan, np.nan), (np.nan, np.nan), "undecided"),
    ],
)
def test_on_either_side(full: tuple[float, float], rise: tuple[float, float], verdict: str) -> None:
    rows = pd.DataFrame([("0.0", -1, 1), ("1.0", *full), ("rise", *rise)])
    rows.columns = ["overlap", "low", "high"]
    assert module(NAME).predicts(rows) == verdict


def test_pairs_without_similarity_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(0)
    points = pd.DataFrame(
        [(f"pair{n}", overlap, *rng.normal(size=2)) for n in range(12) for overlap in (0.0, 1.0)],
        columns=["condition", "overlap", "similarity", "transfer"],
    )
    points.loc[3, "similarity"] = np.nan
    found = module(NAME).correlations(points)
    assert found["left_out"].tolist() == [1, 1, 1]
    assert found["n"].tolist() == [11, 11, 11]
    few = module(NAME).correlations(points.iloc[:8])
    assert few["estimate"].isna().all()
    assert module(NAME).predicts(few) == "undecided"


def test_correlations_are_scipys() -> None:
    x, y = np.random.default_rng(1).integers(0, 6, (2, 15, 3)).astype(float)  # with ties
    found = module(NAME).rank_correlation(x, y)
    wanted = [stats.spearmanr(x[:, k], y[:, k]).statistic for k in range(3)]
    np.testing.assert_allclose(found, wanted, atol=1e-12)
