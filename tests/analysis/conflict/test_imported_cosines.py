"""Cosines of task pairs that another log had: read, and nothing made up beside them."""

import numpy as np
import pytest

from trajlab.analysis import conflict
from trajlab.analysis.summary import _likeness
from trajlab.errors import TrajlabError
from trajlab.store import Writer, load, standard
from trajlab.store.importers.csv import import_csv


@pytest.fixture
def runs(tmp_path):
    for seed, last in ((0, -0.5), (1, -0.3)):
        file = tmp_path / f"pcgrad_{seed}.csv"
        file.write_text(f"step,ab,ac,bc\n0,0.5,1,0\n10,-0.1,1,NA\n20,{last},1,0.25\n")
    pairs = {f"similarity/{a}/{b}": a + b for a, b in ("ab", "ac", "bc")}
    import_csv(tmp_path, tmp_path / "runs", step="step", name="{method}_{seed}", map=pairs)
    return load(tmp_path / "runs")


def test_cosines_and_how_often_they_conflict(runs):
    result = conflict(runs)
    summary = result.summary.set_index(["task_a", "task_b"])
    assert summary.loc[("a", "b"), "mean_cosine"] == pytest.approx(-0.1 / 3 + 0.1 / 3)
    assert summary.loc[("a", "b"), "share_conflicting"] == pytest.approx(2 / 3)
    assert summary.loc[("b", "c"), "n_missing"] == 2
    assert summary.loc[("b", "c"), "mean_cosine"] == pytest.approx(0.125)
    # what norms enter is not known, and cosines of batches are not corrected for noise
    assert result.pairs["magnitude_similarity"].isna().all()
    assert result.similarity[["cosine_to_update", "norm_share"]].isna().all(axis=None)
    assert result.corrected.empty
    told = " ".join(sentence.statement[0] for sentence in result.sentences())
    assert "nan" not in told
    assert "norm" not in told


def test_cosines_corrected_for_noise_are_not_taken_for_those_of_batches(tmp_path):
    writer = Writer(tmp_path / "run.h5", ["a", "b"])
    writer.declare(standard("similarity", task=["a", "b"]).only("cosine", "se"))
    cosine = np.array([[1, 0.5], [0.5, 1]])
    writer.append("similarity", {"step": 0, "cosine": cosine, "se": cosine / 10})
    writer.close()
    with pytest.raises(TrajlabError, match="no complete run recorded the gradients"):
        conflict(load(tmp_path / "run.h5"))


def test_the_row_that_stands_for_a_run_has_them(runs):
    (row,) = (row for row in _likeness(runs[0])["c"].items() if row[0] == "mean_cosine")
    # of c to a and b: 1, 1, 1 and 0, not recorded, .25
    assert row[1][0] == pytest.approx((3 + 0.25) / 5)
