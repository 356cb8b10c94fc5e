"""Every column of the tables of correlations, with options unlike the defaults."""

import itertools
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from trajlab.analysis import correlate, runs_from_frame
from trajlab.analysis.correlate.association import associate
from trajlab.analysis.correlate.coupled import environments, sign_error
from trajlab.analysis.correlate.granulation import granulated_kendall
from trajlab.analysis.correlate.information import conditional_information

PLACE = ["setting", "task", "half"]
NUMBERS = ["estimate", "low", "high", "p_value", "smallest_p", "n", "smallest_detectable"]
NUMBERS += ["p_equivalence"]


def measurements(settings, units=22, repeats=2):
    """Return a table of settings, two tasks and two halves, each of some units' repeats."""
    rng = np.random.default_rng(0)
    places = itertools.product(settings, ("top", "left"), ("late", "early"))
    rows = pd.DataFrame(
        [
            {
                **dict(zip(PLACE, place, strict=True)),
                "unit": f"u{unit}",
                "condition": f"+{unit % 2}",
            }
            for place in places
            for unit in range(units)
            for _ in range(repeats)
        ]
    )
    k = rows["unit"].str[1:].astype(float) % 3  # what repeats is held fixed by its strata
    x = rng.normal(size=len(rows)) + k
    y = 0.5 * x + k + rng.normal(size=len(rows))
    rows = rows.assign(k=k, x=x, y=y, method="m")
    rows.loc[0, "x"], rows.loc[3, "k"] = np.nan, np.inf
    rows.loc[rows["unit"] == "u2", "y"] = np.nan  # a unit without any value
    return rows


@pytest.mark.parametrize(("adjustment", "settings"), [("holm", "s"), ("bh", "sr")])
def test_correlations(adjustment, settings):
    table = measurements(settings)
    asked = {"given": "k", "margin": 0.4, "confidence": 0.8, "seed": 5}
    columns = {"x": "x", "y": "y", "unit": "unit", "within": "half", "adjustment": adjustment}
    result = correlate(table=table, **columns, **asked)
    seen = []
    for place, part in table.groupby(PLACE, sort=False):
        whole = np.isfinite(part[["x", "y", "k"]]).all(axis=1)
        means = part[whole].groupby("unit", sort=False)[["x", "y", "k"]].mean()
        for statistic in ("pearson", "spearman", "kendall"):
            values = (means[name].to_numpy() for name in ("x", "y"))
            options = {"given": means["k"].to_numpy(), "margin": 0.4}
            expected = asdict(associate(*values, statistic, 0.8, 5, **options))
            seen.append((place, statistic, expected, int(whole.sum()), int((~whole).sum())))
    rows = result.correlations.to_dict("records")
    assert len(rows) == len(seen) == 12 * len(settings)
    for row, (place, statistic, expected, used, left_out) in zip(rows, seen, strict=True):
        assert (row["setting"], row["task"], row["group"]) == place
        assert (row["condition"], row["method"], row["metric"]) == ("", "m", "")
        assert (row["x"], row["y"], row["given"], row["statistic"]) == ("x", "y", "k", statistic)
        found = [row[name] for name in NUMBERS]
        assert found == pytest.approx([expected[name] for name in NUMBERS], nan_ok=True)
        assert (row["n_runs"], row["n_excluded"]) == (used, left_out)
        assert row["reason"] == expected["reason"]
    assert {used for *_, used, _ in seen} == {40, 42}
    for _, part in result.correlations.groupby("statistic"):
        p = part["p_value"].to_numpy()
        adjusted = stats.false_discovery_control(p)
        if adjustment == "holm":
            order = np.argsort(p)
            steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
            adjusted[order] = np.minimum(steps, 1)
        assert part["p_adjusted"].to_numpy() == pytest.approx(adjusted), (statistic, p)
    assert result.options.unit == "unit"
    points = result.points[(result.points["group"] == "late") & (result.points["task"] == "top")]
    first = points.iloc[0]
    own = table.loc[1, ["x", "y", "k"]].astype(float)  # of row 0 a value is missing
    assert first[["x_value", "y_value", "given_value"]].tolist() == pytest.approx(own.tolist())
    assert first[["condition", "method", "unit"]].tolist() == ["+0", "m", "u0"]
    assert first[["n_runs", "n_excluded"]].tolist() == [1, 1]
    never = points[points["unit"] == "u2"].iloc[0]
    assert never[["x_value", "y_value", "given_value"]].isna().all()
    assert never[["n_runs", "n_excluded"]].tolist() == [0, 2]


def test_the_interval_is_the_one_asked_for():
    x, y = np.random.default_rng(3).normal(size=(2, 20))
    frame = pd.DataFrame({"x": x, "y": y})
    result = correlate(table=frame, x="x", y="y", interval="bootstrap", confidence=0.8, seed=2)
    row = result.correlations.iloc[0]
    expected = associate(x, y, "pearson", 0.8, 2, interval="bootstrap")
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert expected.low != associate(x, y, "pearson", 0.8, 2).low


def test_a_grid():
    """Its axes name the units; what each statistic is of, and of which configurations."""
    rng = np.random.default_rng(1)
    axes, places = ["width", "lr", "seedless"], itertools.product((2, 1), (0.1, 0.3, 0.2), (0, 1))
    table = pd.DataFrame(
        [
            {**dict(zip(axes, place, strict=True)), "task": task, "run": run}
            for task in ("top", "left")
            for place in places
            for run in range(3)
        ]
    )
    table = table.assign(x=rng.normal(size=len(table)), y=rng.uniform(size=len(table)))
    result = correlate(table=table, x="x", y="y", axes=axes, seed=4, test_size=50)
    found = result.correlations.set_index(["task", "statistic", "given"])
    for task, part in table.groupby("task", sort=False):
        means = part.groupby(axes, sort=False, as_index=False)[["x", "y"]].mean()
        units = means["x"].to_numpy(), means["y"].to_numpy(), means[axes], 4
        runs = part["x"].to_numpy(), part["y"].to_numpy(), part[axes]
        every = ", ".join(axes)
        expected = {
            ("granulated_kendall", every): granulated_kendall(*units),
            ("sign_error", every): sign_error(*runs, 4, test_size=50),
            ("worst_sign_error", every): sign_error(*runs, 4, test_size=50, worst=True),
            ("conditional_information", every): conditional_information(*units),
            ("conditional_information_given", ""): conditional_information(*units, given=()),
        }
        for size in range(1, 3):
            for held in itertools.combinations(axes, size):
                key = ("conditional_information_given", ", ".join(held))
                expected[key] = conditional_information(*units, given=held)
        of_task = found.loc[task]
        plain = of_task.index.get_level_values(0).isin(["pearson", "spearman", "kendall"])
        of_task = of_task[~plain]
        assert set(of_task.index) == set(expected)
        for key, one in expected.items():
            row, numbers = of_task.loc[key], asdict(one)
            given = [row[name] for name in NUMBERS]
            assert given == pytest.approx([numbers[name] for name in NUMBERS], nan_ok=True), key
            assert row["reason"] == one.reason
        made = result.environments[result.environments["task"] == task]
        own = environments(*runs, test_size=50)
        assert (made["n_runs"] == len(part)).all()
        for name in own:
            pd.testing.assert_series_equal(
                made[name].reset_index(drop=True), own[name], check_dtype=False
            )
    assert result.options.unit == ", ".join(axes)


@pytest.fixture(scope="module")
def runs():
    """Five ways of training with two seeds each, two metrics, and factors of each run."""
    rng, step = np.random.default_rng(2), np.arange(1, 46)
    parts = [
        pd.DataFrame(
            {
                **{"method": "m", "condition": f"+{way}", "seed": seed, "lr": 0.1 * (way % 2)},
                **{"step": step, "train_loss": np.exp(-step / 9) + rng.uniform(0.1, 0.5)},
                **{"accuracy": rng.normal(size=45), "mae": rng.normal(size=45)},
                "evaluations/validation/accuracy": rng.normal(size=45),
                "evaluations/other/accuracy": rng.normal(size=45),
                "sharpness/value": rng.normal(size=45),
            }
        )
        for way in range(5)
        for seed in range(2)
    ]
    frame = pd.concat(parts, ignore_index=True)
    return frame, runs_from_frame(frame, metrics=["accuracy", "mae"], lower_is_better=["mae"])


def test_of_runs_the_numbers_that_stand_for_them(runs):
    frame, made = runs
    of_runs = frame.groupby(["condition", "seed"], sort=False)
    sharp = of_runs["sharpness/value"].apply(lambda v: v.iloc[-20:].mean())
    scores = {
        split: of_runs.apply(
            lambda run, column=f"evaluations/{split}/accuracy": run.nlargest(5, column)[
                "accuracy"
            ].mean(),
            include_groups=False,
        )
        for split in ("validation", "other")
    }
    for split, score in scores.items():
        asked = {"x": "sharpness", "y": "final_metric", "selection_split": split}
        points = correlate(made, **asked).points
        assert points["metric"].tolist() == ["accuracy", "mae"] * 5
        own = points[points["metric"] == "accuracy"]
        means = [v.groupby("condition", sort=False).mean().tolist() for v in (sharp, score)]
        assert own["x_value"].tolist() == pytest.approx(means[0])
        assert own["y_value"].tolist() == pytest.approx(means[1])
        assert own["n_runs"].tolist() == [2] * 5
        one = correlate(made, **asked, metric="accuracy").points
        assert one["y_value"].tolist() == own["y_value"].tolist()
    least = correlate(made, x="min_train_loss", y="sharpness")
    assert least.points["metric"].tolist() == [""] * 5  # alike for every metric, so told once
    assert least.points["n_runs"].tolist() == [2] * 5
    assert least.options.unit == "condition, method"
    assert not least.correlations["reason"].str.contains("independent").any()
    held = correlate(made, x="min_train_loss", y="sharpness", given="final_metric")
    assert held.points["metric"].tolist() == ["accuracy", "mae"] * 5
    by_rate = correlate(made, x="min_train_loss", y="sharpness", unit="lr")
    assert by_rate.points["unit"].tolist() == ["0.0", "0.1"]
    assert by_rate.points["n_runs"].tolist() == [6, 4]
    of_grid = correlate(made, x="min_train_loss", y="sharpness", axes=["lr"])
    assert of_grid.options.unit == "condition, method, lr"
    assert of_grid.points["n_runs"].tolist() == [2] * 5


def test_p_values_of_all_metrics_are_adjusted_together(runs):
    _, made = runs
    rows = correlate(made, x="sharpness", y="final_metric").correlations
    for _, part in rows.groupby("statistic"):
        assert part["metric"].tolist() == ["accuracy", "mae"]
        smaller, larger = np.sort(part["p_value"])
        holm = [min(1, 2 * smaller), max(larger, min(1, 2 * smaller))]
        assert np.sort(part["p_adjusted"]) == pytest.approx(holm)
