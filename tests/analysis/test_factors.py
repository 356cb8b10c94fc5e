"""Factors against the reference, closed forms and simulated shares."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from trajlab import plots
from trajlab.analysis import factors
from trajlab.analysis.factors.deltas import factor_difference
from trajlab.analysis.factors.quadrants import quadrant_frame, share_interval
from trajlab.analysis.runs.groups import group
from trajlab.analysis.summary import summarise_runs
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer
from trajlab.store.schema import standard

STEPS = np.arange(60)


def make(tmp_path, method, seed, *, scale, shift, sharp=lambda loss: loss):
    """Write a run whose loss falls tenfold in 20 steps, and whose covariance follows the loss."""
    loss = scale * 10.0 ** (-STEPS / 20)
    jitter = 1 + 0.01 * np.sin(7 * seed + STEPS)
    path = tmp_path / f"{method}-{seed}.h5"
    metadata = {"setting": "s", "method": method, "seed": seed}
    writer = Writer(path, ["left"], metadata=metadata)
    train = standard("evaluations/train", task=["left"])
    test = standard("evaluations/test", task=["left"])
    noise = standard("noise", task=["left"])
    for table in (train, test, noise):
        writer.declare(table)
    for i, step in enumerate(STEPS):
        writer.append(train.name, {"step": step, "loss": loss[[i]]})
        writer.append(test.name, {"step": step, "loss": np.array([1 + shift + 0.01 * seed])})
        trace = sharp(loss[i]) * jitter[i] * (1 + shift)
        writer.append(noise.name, {"step": step, "covariance_trace": np.array([trace])})
    writer.close()
    return Trajectory(path)


@pytest.fixture
def runs(tmp_path):
    """Multi-task: the loss falls ten times further; at equal loss the covariance is 1.5 times."""
    return [
        make(tmp_path, method, seed, scale=scale, shift=shift)
        for method, scale, shift in (("single", 1.0, 0.0), ("multi", 0.1, 0.5))
        for seed in range(3)
    ]


def test_a_factor_at_the_end_tells_how_far_the_loss_fell(runs):
    result = factors(runs)
    rows = result.delta.set_index(["factor", "at"])
    end = rows.loc[("gradient_covariance", "end")]
    assert end["relative"] == pytest.approx(-0.85, abs=0.02)
    assert end["significant"]
    matched = rows.loc["gradient_covariance"].drop("end").iloc[0]
    assert float(matched.name) == pytest.approx(10 ** (-59 / 20), rel=1e-3)
    assert matched["relative"] == pytest.approx(0.5, abs=0.03)
    assert rows.loc[("log10_min_train_loss", "end"), "delta"] == pytest.approx(-1)
    loss = rows.loc[("final_metric", "end")]
    assert (loss["delta"], loss["better"]) == (pytest.approx(0.5), -1)


def test_signs_and_quadrants_follow_the_direction_of_the_metric(runs):
    result = factors(runs, at=[0.01])
    signs = result.signs.set_index("at")
    assert signs.loc["end", ["final_metric", "gradient_covariance"]].tolist() == ["worse", "better"]
    assert signs.loc["0.01", "gradient_covariance"] == "worse"
    quadrants = result.quadrants.set_index(["factor", "at", "method"])
    assert quadrants.loc[("gradient_covariance", "end", "multi"), "explained"] == 0
    assert quadrants.loc[("gradient_covariance", "matched", "all"), "explained"] == 1
    assert set(result.runs["method"]) == {"single", "multi"}
    plots.factors(result)


def test_where_a_loss_was_not_measured_there_is_a_reason(runs):
    row = factors(runs, at=[1e-6]).delta.set_index("at").loc["1e-06"]
    assert np.isnan(row["delta"])
    assert row["reason"] == "outside the losses that were measured"
    with pytest.raises(TrajlabError, match="must be positive, not 0"):
        factors(runs, at=[0.0])


def test_one_run_a_side_is_descriptive(runs):
    row = factors(runs[2:4]).delta.iloc[0]
    assert np.isfinite(row["delta"])
    assert np.isnan(row["low"])
    assert "descriptive" in row["reason"]
    assert factors(runs[2:4]).quadrants["total"].sum() == 0


def test_the_reference_has_the_paper_s_factors(reference):
    """The flattest run generalises worst; its covariance is 8.0 times at the end, not at 3e-4."""
    result = factors(reference, baseline={"method": "STL"}, at=[3e-4])
    delta = result.delta.set_index(["method", "factor", "at"]).sort_index()
    sharpness = result.runs.groupby("method")["sharpness"].mean()
    expected = {"STL": 0.447, "MTL+Fashion": 0.319, "MTL+Noisy": 0.201}
    assert sharpness.to_dict() == pytest.approx(expected, abs=0.001)
    ratio = 1 + delta.loc[("MTL+Noisy", "gradient_covariance"), "relative"]
    assert ratio["end"] == pytest.approx(8.0, abs=0.1)
    assert ratio["0.0003"] == pytest.approx(1.17, abs=0.1)
    signs = result.signs.set_index(["method", "at"])
    assert signs.loc[("MTL+Noisy", "end"), ["final_metric", "sharpness"]].tolist() == [
        "worse",
        "better",
    ]
    assert "hessian_top" not in result.signs


@pytest.mark.parametrize("n", [2, 5])
def test_difference_is_welchs(n):
    a, b = np.random.default_rng(n).normal(size=(2, n))
    found = factor_difference(a, b)
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert found["p_value"] == pytest.approx(expected.pvalue)
    assert found["z"] == pytest.approx(expected.statistic)
    assert found["relative"] == pytest.approx((a.mean() - b.mean()) / abs(b.mean()))
    assert factor_difference(np.ones(3), np.zeros(3))["reason"] == "no spread on either side"
    assert np.isnan(factor_difference(np.array([]), b)["delta"])


def test_the_share_interval_covers_where_points_share_tasks():
    """Ten tasks of four methods; whether a point is explained goes by the task."""
    rng, hits, naive = np.random.default_rng(0), 0, 0
    for _ in range(400):
        chance = rng.beta(1, 1, size=10)
        explained = (rng.random((10, 4)) < chance[:, None]).astype(float).ravel()
        low, high = share_interval(explained, np.repeat(np.arange(10), 4))
        hits += low <= 0.5 <= high
        low, high = share_interval(explained, np.arange(40))
        naive += low <= 0.5 <= high
    assert hits / 400 > 0.93
    assert naive / 400 < 0.90


def test_independent_points_have_the_exact_interval():
    explained = np.array([1, 1, 1, 0, 1, 0, 1, 1, 0, 1.0])
    exact = stats.binomtest(7, 10).proportion_ci()
    assert share_interval(explained, np.arange(10)) == pytest.approx(
        (exact.low, exact.high), abs=0.02
    )
    low, high = share_interval(np.ones(8), np.repeat([0, 1], 4))  # two tasks, not eight points
    assert (low, high) == pytest.approx((0.025**0.5, 1))


def test_only_clear_points_count():
    head = {"setting": "s", "condition": "", "task": "t"}
    rows = [
        {**head, "method": m, "factor": factor, "at": "end", "z": z, "better": better}
        for m, score, sharp in (("a", 3, -3), ("b", 3, 3), ("c", 1, 5), ("d", -4, 2.5))
        for factor, z, better in (("final_metric", score, 1), ("sharpness", sharp, -1))
    ]
    frame = pd.DataFrame(rows)[
        ["setting", "condition", "method", "task", "factor", "at", "z", "better"]
    ]
    pooled = quadrant_frame(frame).set_index("method").loc["all"]
    assert (pooled["explained"], pooled["total"], pooled["n_unclear"]) == (2, 3, 1)
    assert pooled["n_tasks"] == 1


def test_how_many_checkpoints_stand_for_a_run_can_be_chosen(reference):
    """Whoever recorded fewer than the paper's 20 can say how many."""
    options = {"baseline": {"method": "STL"}}
    found = factors(reference, **options, selection_split="test", best=3, last=5, largest=2)
    row, run = found.runs.iloc[0], reference[0]
    accuracy = run.table("evaluations/test")["accuracy"][:, 0]
    sharpness = run.table("sharpness")["value"][:, 0, 0]
    fisher = run.table("fisher")["trace"][:, 0]
    assert row["final_metric"] == pytest.approx(np.sort(accuracy[1:])[-3:].mean())
    assert row["sharpness"] == pytest.approx(sharpness[-5:].mean())
    assert row["fisher"] == pytest.approx(np.sort(fisher)[-2:].mean())
    assert {key: found.settings[key] for key in ("best", "last", "largest")} == {
        "best": 3,
        "last": 5,
        "largest": 2,
    }
    few = factors(reference, **options, last=101).runs
    assert few["sharpness"].isna().all()
    assert few["reason"].str.contains("sharpness: fewer than 101 values").all()
    with pytest.raises(TrajlabError, match="last must be at least 1 checkpoint, not 0"):
        factors(reference, last=0)


def test_bins_read_a_factor_too(reference):
    rows = factors(reference, baseline={"method": "STL"}, rule="bins", at=[0.01]).delta
    at = rows[(rows["at"] == "0.01") & (rows["factor"] == "sharpness")]
    smooth = factors(reference, baseline={"method": "STL"}, at=[0.01]).delta
    other = smooth[(smooth["at"] == "0.01") & (smooth["factor"] == "sharpness")]
    assert at["delta"].tolist() == pytest.approx(other["delta"].tolist(), abs=0.05)


def test_the_excess_similarity_is_above_that_of_orthogonal_gradients(tmp_path):
    for seed in range(2):
        path = tmp_path / f"{seed}.h5"
        writer = Writer(path, ["left", "right", "top"], metadata={"method": "a", "seed": seed})
        writer.declare(standard("similarity", task=["left", "right", "top"]))
        writer.append("similarity", {"step": 1, "cosine_to_update": np.array([0.8, 0.6, 3**-0.5])})
        writer.close()
    rows = summarise_runs(group([Trajectory(tmp_path / f"{i}.h5") for i in range(2)]))
    expected = [0.8 - 3**-0.5, 0.6 - 3**-0.5, 0] * 2
    assert rows["excess_similarity"].tolist() == pytest.approx(expected)


def test_an_unknown_metric_names_the_known_ones(reference):
    with pytest.raises(TrajlabError, match=r"no run has the metric 'f1' .* there is accuracy"):
        factors(reference, baseline={"method": "STL"}, metric="f1")
