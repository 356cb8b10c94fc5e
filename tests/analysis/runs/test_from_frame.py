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
