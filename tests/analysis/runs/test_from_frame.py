"""Analyses of plain DataFrames and arrays agree with those of files."""

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from tests.analysis.conftest import REFERENCE
from trajlab.analysis import (
    correlate,
    diagnose,
    factors,
    front,
    gap,
    runs_from_frame,
    verdict,
)
from trajlab.analysis.runs.evaluations import read
from trajlab.errors import TrajlabError

COLUMNS = {
    "setting": "method",
    "epoch": "step",
    "test_acc": "accuracy",
    "sharpness": "sharpness/value",
    "grad_cov": "noise/covariance_trace",
    "fim": "fisher/trace",
}
BASELINE = {"baseline": {"method": "STL"}}


@pytest.fixture(scope="module")
def frame():
    rows = pd.read_csv(REFERENCE).rename(columns=COLUMNS)
    return rows.assign(setting="FashionMTL", task="fashion1")


@pytest.fixture(scope="module")
def runs(frame):
    return runs_from_frame(frame, metrics=["accuracy"])


@pytest.mark.parametrize("analyse", [gap, factors], ids=["gap", "factors"])
def test_a_frame_gives_what_the_files_give(analyse, runs, reference):
    found, expected = analyse(runs, **BASELINE), analyse(reference, **BASELINE)
    for name, table in expected.tables().items():
        named = ["run", "seed", "common_loss_run"]  # runs have other names
        own = found.tables()[name].drop(columns=named, errors="ignore")
        assert_frame_equal(own, table.drop(columns=named, errors="ignore")[list(own)])


def test_the_verdict_needs_no_file(runs, reference):
    found, expected = diagnose(runs, **BASELINE), diagnose(reference, **BASELINE)
    assert found.verdict["sentence"].tolist() == expected.verdict["sentence"].tolist()
    assert "Improved" in " ".join(verdict([gap(runs, **BASELINE)])["sentence"])


def test_less_is_better_and_steps_may_be_missing():
    rows = pd.DataFrame(
        {
            "method": ["single"] * 40 + ["uniform"] * 40,
            "seed": [0] * 20 + [1] * 20 + [0] * 20 + [1] * 20,
            "step": [*range(1, 21)] * 4,
            "train_loss": [*10 ** -np.linspace(0, 2, 20)] * 4,
            "error": np.repeat([0.30, 0.31, 0.20, 0.21], 20),
        }
    )
    rows.loc[rows["step"] % 2 == 1, "error"] = np.nan
    made = runs_from_frame(rows, metrics=["error"], lower_is_better=["error"])
    assert made[0].table("evaluations/test")["step"].tolist() == [*range(2, 21, 2)]
    summary = gap(made).summary
    assert summary["delta"].tolist() == pytest.approx([0.1])
    assert summary["task"].tolist() == ["task"]


def test_tables_of_one_row_a_run_may_be_frames(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(12, 2)), columns=["similarity", "accuracy"]).assign(
        method=["scalarization", "pcgrad"] * 6, lr=[1, 1, 2, 2, 3, 3] * 2
    )
    table.to_csv(tmp_path / "table.csv", index=False)
    for analyse, options in (
        (correlate, {"x": "similarity", "y": "accuracy"}),
        (front, {"objective": {"similarity": "max", "accuracy": "max"}, "group_by": ["lr"]}),
    ):
        read, given = (analyse(table=t, **options) for t in (str(tmp_path / "table.csv"), table))
        for name, expected in read.tables().items():
            assert_frame_equal(given.tables()[name], expected)
        assert given.settings["table"] == "a DataFrame of 12 rows"


def test_wrong_frames_are_told_in_a_sentence(frame):
    with pytest.raises(TrajlabError, match="no column 'f1'; it has method, seed, step"):
        runs_from_frame(frame, metrics=["f1"])
    with pytest.raises(TrajlabError, match="two rows of one step and task; add a column"):
        runs_from_frame(frame.drop(columns="seed"), metrics=["accuracy"])


def diverging(n, every=1):
    """Return a run of 20 steps whose loss is told every so often, and not in the last n rows."""
    rows = pd.DataFrame({"seed": 0, "step": range(1, 21), "accuracy": 0.5})
    loss = 10 ** -np.linspace(0, 2, 20)
    return rows.assign(
        train_loss=np.where((rows.index % every == 0) & (rows.index < 20 - n), loss, np.nan)
    )


@pytest.mark.parametrize(
    ("table", "diverged"),
    [
        (diverging(0), False),
        (diverging(1), True),
        (diverging(1, every=2), False),  # no longer than between two losses
        (diverging(3, every=2), True),
    ],
)
def test_a_loss_that_breaks_off_is_a_run_that_diverged(table, diverged):
    (run,) = runs_from_frame(table.sample(frac=1, random_state=0), metrics=["accuracy"])
    assert read(run, "task", "accuracy").diverged == diverged


def test_a_run_that_broke_off_keeps_what_it_evaluated_before_its_loss_did():
    """Of 20 rows with a loss at each second, only what follows the last one tells of the end."""
    (run,) = runs_from_frame(diverging(6, every=2), metrics=["accuracy"])
    step = run.table("evaluations/train")["step"].tolist()
    assert step == [1, 3, 5, 7, 9, 11, 13, *range(14, 21)]


def test_clocks_are_no_metadata(frame):
    clocked = frame.assign(tokens=100.0 * frame["step"])
    runs = runs_from_frame(clocked, metrics=["accuracy"])
    assert len(runs) == len(runs_from_frame(frame, metrics=["accuracy"]))
    table = runs[0].table("evaluations/test")
    assert table.axes("tokens") == ("step",)
    assert table["tokens"].tolist() == [100 * step for step in table["step"]]


@pytest.mark.parametrize(("less", "chosen"), [((), 0), (("error",), 2)])
def test_the_best_checkpoint_has_the_least_error_and_the_most_of_all_else(less, chosen):
    rows = pd.DataFrame(
        {
            "step": [1, 2, 3, 4],
            "train_loss": [1.0, 0.5, 0.4, 0.3],
            "error": [0.9, 0.5, 0.1, 0.4],
            "evaluations/validation/error": [0.8, 0.6, 0.2, 0.3],
        }
    )
    (run,) = runs_from_frame(rows, metrics=["error"], lower_is_better=less)
    evaluations = read(run, "task", "error", selection_split="validation")
    assert evaluations.best(1).tolist() == [chosen]
