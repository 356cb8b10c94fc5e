"""Factors of runs, and of the reference."""

import numpy as np
import pandas as pd
import pytest

from trajlab import plots
from trajlab.analysis import factors, runs_from_frame, verdict
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer
from trajlab.store.schema import standard

STEPS = np.arange(60)


def make(tmp_path, method, seed, *, scale, shift, sharp=lambda loss: loss, lower=0.0):
    """Write a run whose loss falls tenfold in 20 steps, and whose covariance follows the loss."""
    loss = scale * 10.0 ** (-STEPS / 20) - lower
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
    assert row["reason"] == "outside the training loss that was measured"
    with pytest.raises(TrajlabError, match="must be positive, not 0"):
        factors(runs, at=[0.0])


def test_one_run_a_side_is_descriptive(runs):
    row = factors(runs[2:4]).delta.iloc[0]
    assert np.isfinite(row["delta"])
    assert np.isnan(row["low"])
    assert "descriptive" in row["reason"]
    assert factors(runs[2:4]).quadrants["total"].sum() == 0


LAST = 10.0 ** (-STEPS / 20)[-1]  # loss of the baseline's last evaluation


@pytest.mark.parametrize(
    ("lower", "numbers"),
    [
        ((0.0, 0.0), (0, 0)),
        ((LAST, 0.0), (0, 3)),  # exactly 0 has no logarithm either
        ((LAST * 0.999, 0.0), (0, 0)),
        ((0.0, 0.1 * 0.0095), (57, 0)),  # from step 41 on, of 59
        ((0.0095, 0.1 * 0.0095), (57, 57)),
    ],
)
def test_losses_without_a_logarithm_are_counted_in_the_verdict(tmp_path, lower, numbers):
    made = [
        make(tmp_path, method, seed, scale=scale, shift=shift, sharp=abs, lower=below)
        for method, scale, shift, below in (
            ("single", 1.0, 0.0, lower[0]),
            ("multi", 0.1, 0.5, lower[1]),
        )
        for seed in range(3)
    ]
    result = factors(made, at=[0.5, 0.05])  # counted once, though read twice
    rows = result.delta[result.delta["at"] != "end"]
    counts = rows[["n_no_logarithm", "n_no_logarithm_baseline"]]
    assert [tuple(pair) for pair in counts.to_numpy()] == [numbers] * len(rows)
    told = verdict([result])["sentence"].tolist()
    said = [sentence for sentence in told if "logarithm" in sentence]
    number = sum(numbers)
    start = f"only losses above 0 are compared; {number} evaluations have one at or below 0"
    assert [start in sentence for sentence in said] == [True] * (number > 0)
    least = result.delta.set_index("factor").loc["log10_min_train_loss"]
    runs = 3 * sum(n > 0 for n in numbers)
    assert least["n_missing"] == runs
    assert (f"{runs} of 6 runs left out, whose lowest" in least["reason"]) == (runs > 0)


def test_without_any_loss_above_0_factors_are_compared_at_the_end(tmp_path):
    made = [
        make(tmp_path, method, seed, scale=1.0, shift=shift, sharp=abs, lower=2.0)
        for method, shift in (("single", 0.0), ("multi", 0.5))
        for seed in range(3)
    ]
    result = factors(made)
    rows = result.delta.set_index(["factor", "at"])
    assert np.isfinite(rows.loc[("gradient_covariance", "end"), "delta"])
    assert rows.loc[("gradient_covariance", "matched"), "reason"] == (
        "no training loss is common to all"
    )
    assert "354 evaluations have one at or below 0" in verdict([result])["sentence"].iloc[-1]


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
    sparse = factors(reference, **options, last=101)
    few = sparse.runs
    assert few["sharpness"].isna().all()
    assert few["reason"].str.contains("sharpness: fewer than 101 values").all()
    rows = sparse.delta.query("factor == 'sharpness' and at == 'end'")
    assert rows["reason"].str.startswith("not recorded often enough: the table of runs").all()
    assert len(rows) == 2
    with pytest.raises(TrajlabError, match="last must be at least 1 checkpoint, not 0"):
        factors(reference, last=0)


def test_bins_read_a_factor_too(reference):
    rows = factors(reference, baseline={"method": "STL"}, rule="bins", at=[0.01]).delta
    at = rows[(rows["at"] == "0.01") & (rows["factor"] == "sharpness")]
    smooth = factors(reference, baseline={"method": "STL"}, at=[0.01]).delta
    other = smooth[(smooth["at"] == "0.01") & (smooth["factor"] == "sharpness")]
    assert at["delta"].tolist() == pytest.approx(other["delta"].tolist(), abs=0.05)


def test_an_unknown_metric_names_the_known_ones(reference):
    with pytest.raises(TrajlabError, match=r"no run has the metric 'f1' .* there is accuracy"):
        factors(reference, baseline={"method": "STL"}, metric="f1")


def test_of_similarity_more_is_better_and_of_others_less(tmp_path):
    made = []
    for method, cosine, sharpness in (("single", 0.2, 1.0), ("multi", 0.6, 2.0)):
        for seed in range(3):
            path = tmp_path / f"{method}{seed}.h5"
            metadata = {"setting": "s", "method": method, "seed": seed}
            writer = Writer(path, ["left", "right"], metadata=metadata)
            tables = {
                "evaluations/train": {"loss": 0.5},
                "evaluations/test": {"loss": 0.5 + seed / 100},
                "similarity": {"cosine_to_update": cosine + seed / 100},
                "noise": {"covariance_trace": sharpness + seed / 100},
            }
            for name, columns in tables.items():
                writer.declare(standard(name, task=["left", "right"]).only(*columns))
                for step in (1, 2):
                    row = {column: np.full(2, value) for column, value in columns.items()}
                    writer.append(name, {"step": step, **row})
            writer.close()
            made.append(Trajectory(path))
    result = factors(made, last=1)
    end = result.delta.query("at == 'end' and task == 'left'").set_index("factor")
    assert end.loc["similarity", "delta"] == pytest.approx(0.4)
    assert end.loc["gradient_covariance", "delta"] == pytest.approx(1.0)
    assert end["better"].to_dict() == {
        "final_metric": -1,
        "log10_min_train_loss": -1,
        "gradient_covariance": -1,
        "similarity": 1,
    }
    signs = result.signs[result.signs["at"] == "end"].iloc[0]
    assert (signs["similarity"], signs["gradient_covariance"]) == ("better", "worse")


def test_a_factor_that_one_side_alone_recorded_has_a_reason():
    step = np.arange(1, 31)
    columns = {"step": step, "train_loss": 1 / step, "accuracy": np.log(step)}
    parts = [
        pd.DataFrame({**columns, "method": method, "seed": seed, "sharpness/value": value})
        for method, value in (("single", np.nan), ("uniform", 2.0))
        for seed in range(2)
    ]
    table = factors(runs_from_frame(pd.concat(parts), metrics=["accuracy"])).delta
    told = table[(table["factor"] == "sharpness") & (table["at"] != "end")]
    assert told["reason"].tolist() == ["not recorded on both sides"]
    assert told["delta"].isna().all()
    assert not (table["factor"] == "fisher").any()  # which no side did


@pytest.mark.parametrize("key", ["sharpness", "final_metric", "lr"])
def test_a_key_is_refused_that_is_measured_too_and_no_other(key):
    rows = {"step": [1, 2], "task": "lm", "train_loss": [2.0, 1.0], "accuracy": [1.0, 2.0]}
    runs = runs_from_frame(
        pd.concat([pd.DataFrame(rows | {key: own}) for own in ("focal", "plain")]),
        metrics=["accuracy"],
    )
    if key == "lr":
        found = factors(runs, baseline={key: "plain"}, group_by=[key])
        assert sorted(found.runs[key]) == ["focal", "plain"]
    else:
        with pytest.raises(TrajlabError, match=f"metadata {key} cannot tell groups apart"):
            factors(runs, baseline={key: "plain"}, group_by=[key])
