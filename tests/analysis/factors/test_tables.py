"""Every number of the tables of factors, with options unlike the defaults, from its frame."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from trajlab.analysis import factors, runs_from_frame
from trajlab.analysis.factors.quadrants import share_interval

METHODS, TASKS, STEPS = ("single", "wide", "deep"), ("top", "left"), 12
LEVEL, AT = 0.8, (0.3, 0.05)
FACTORS = {
    "sharpness": "sharpness/value",
    "gradient_covariance": "noise/covariance_trace",
    "fisher": "fisher/trace",
    "hessian_top": "hessian/top",
}


@pytest.fixture(scope="module")
def frame():
    """Losses that fall evenly, each run to an end of its own; noise in all that is measured."""
    rng = np.random.default_rng(0)
    parts = []
    for (m, method), seed, (t, task) in itertools.product(
        enumerate(METHODS), range(4), enumerate(TASKS)
    ):
        if method != "single" and seed == 3:  # four runs of the baseline, three of the others
            continue
        columns = {
            "train_loss": 10 ** np.linspace(0, -2 - 0.1 * m - 0.05 * rng.uniform(), STEPS),
            "accuracy": 70 + 3 * m * (1 - 2 * t) + rng.normal(size=STEPS),
            "mae": 4 - m + rng.normal(0, 0.3, STEPS),
            "evaluations/validation/accuracy": rng.normal(size=STEPS),
            "sharpness/value": 3 + m - 2 * m * t + rng.normal(0, 0.3, STEPS),
            "noise/covariance_trace": 5 - m + rng.normal(0, 0.4, STEPS),
            "fisher/trace": 9 + 4 * m * t + rng.normal(0, 0.5, STEPS),
            "hessian/top": rng.normal(-1 - m, 0.5, STEPS),  # below 0, so that no ratio is told
        }
        named = {"setting": "s", "method": method, "seed": seed, "task": task}
        parts.append(pd.DataFrame({**named, "step": np.arange(1, STEPS + 1), **columns}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def result(frame):
    runs = runs_from_frame(frame, metrics=["accuracy", "mae"], lower_is_better=["mae"])
    options = {"best": 3, "last": 2, "largest": 4, "rule": "first_passage", "confidence": LEVEL}
    return factors(runs, at=AT, **options)


def stands_for(run, factor, at):
    """Return the number that stands for a run: chosen evaluations, the last, the largest."""
    if at != "end":
        log_loss = np.log10(run["train_loss"].to_numpy())[::-1]
        return np.interp(np.log10(float(at)), log_loss, run[FACTORS[factor]].to_numpy()[::-1])
    if factor == "accuracy":
        return run.nlargest(3, "evaluations/validation/accuracy")[factor].mean()
    if factor == "mae":  # which was not measured on validation data
        return run[factor].iloc[-3:].mean()
    if factor == "log10_min_train_loss":
        return np.log10(run["train_loss"].min())
    values = run[FACTORS[factor]]
    return values.nlargest(4).mean() if factor == "fisher" else values.iloc[-2:].mean()


def numbers(frame, method, task, factor, at):
    """Return what a row of `delta` should tell, from single runs."""
    sides = [
        np.array(
            [
                stands_for(run, factor, at)
                for _, run in frame[(frame["method"] == of) & (frame["task"] == task)].groupby(
                    "seed"
                )
            ]
        )
        for of in (method, "single")
    ]
    welch = stats.ttest_ind(*sides, equal_var=False)
    ends = welch.confidence_interval(LEVEL)
    own, base = (side.mean() for side in sides)
    return {
        **{"delta": own - base, "low": ends.low, "high": ends.high, "p_value": welch.pvalue},
        **{"z": welch.statistic, "relative": (own - base) / abs(base)},
        **{"ratio": own / base if min(own, base) > 0 else np.nan},
        **{"significant": ends.low > 0 or ends.high < 0, "n_runs": 3, "n_baseline": 4},
    }


@pytest.fixture(scope="module")
def told(frame):
    """What each row should tell, by method, task, factor or metric, and place."""
    whole = ("accuracy", "mae", "log10_min_train_loss", *FACTORS)
    each = [*itertools.product(whole, ["end"]), *itertools.product(FACTORS, map(str, AT))]
    return {
        (method, task, factor, at): numbers(frame, method, task, factor, at)
        for method, task, (factor, at) in itertools.product(METHODS[1:], TASKS, each)
    }


def places(result):
    """Return (factor, place, metric, better) of each row of a comparison, in order."""
    scores = [("accuracy", 1), ("mae", -1)]
    whole = ["log10_min_train_loss", *FACTORS]
    assert result.delta["at"].unique().tolist() == ["end", *map(str, AT)]
    return [
        *(("final_metric", "end", metric, better) for metric, better in scores),
        *((factor, "end", "", -1) for factor in whole),
        *((factor, str(at), "", -1) for factor in FACTORS for at in AT),
    ]


def test_delta(result, told):
    rows = result.delta.to_dict("records")
    compared = list(itertools.product(("wide", "deep"), TASKS))
    each = list(itertools.product(compared, places(result)))
    assert len(rows) == len(each)
    named = {
        (row["method"], row["task"], row["factor"], row["at"], row["metric"]): row for row in rows
    }
    for (method, task), (factor, at, metric, better) in each:
        row = named[method, task, factor, at, metric]
        expected = told[method, task, metric or factor, at]
        for name, value in expected.items():
            assert row[name] == pytest.approx(value, nan_ok=True), (method, task, factor, at, name)
        assert (row["setting"], row["condition"], row["baseline"]) == ("s", "", "method=single")
        assert (row["better"], row["n_missing"], row["reason"]) == (better, 0, "")
        assert (row["x"], row["loss"]) == ("loss", "train/loss")
    assert result.delta["significant"].nunique() == 2  # both occur
    order = list(dict.fromkeys(result.delta["method"])), list(dict.fromkeys(result.delta["task"]))
    assert sorted(order[0]) == ["deep", "wide"]
    assert order[1] == list(TASKS)


def test_runs(result, frame):
    assert len(result.runs) == (4 + 3 + 3) * len(TASKS) * 2
    for row in result.runs.to_dict("records"):
        where = (frame["method"] == row["method"]) & (frame["seed"] == row["seed"])
        run = frame[where & (frame["task"] == row["task"])]
        assert row["final_metric"] == pytest.approx(stands_for(run, row["metric"], "end"))
        for factor in FACTORS:
            assert row[factor] == pytest.approx(stands_for(run, factor, "end"))
        assert row["min_train_loss"] == run["train_loss"].min()
        assert (row["n_runs"], row["reason"], row["higher_is_better"]) == (
            1,
            "",
            row["metric"] == "accuracy",
        )


def name_of(factor, metric):
    return f"{factor} {metric}" if metric else factor


def test_signs(result, told):
    table = result.signs.set_index(["method", "task", "at"])
    assert len(table) == 2 * len(TASKS) * 3
    assert (table["baseline"] == "method=single").all()
    wanted = [name_of(factor, metric) for factor, at, metric, _ in places(result) if at == "end"]
    assert list(result.signs)[-len(wanted) :] == wanted
    for (method, task, at), row in table.iterrows():
        here = {(f, m): b for f, place, m, b in places(result) if place == at}
        for factor, metric in {(f, m) for f, _, m, _ in places(result)}:
            said = ""
            if (factor, metric) in here:
                found = told[method, task, metric or factor, at]
                gain = found["delta"] * here[factor, metric]
                said = "unclear" if not found["significant"] else "better" if gain > 0 else "worse"
            assert row[name_of(factor, metric)] == said


def test_quadrants(result, told):
    table = result.quadrants.set_index(["metric", "factor", "at", "method"])
    expected = itertools.product(
        ("accuracy", "mae"), ("log10_min_train_loss", *FACTORS), ("end", "matched"), METHODS
    )
    kept = [e for e in expected if e[1] in FACTORS or e[2] == "end"]
    assert sorted(table.index) == sorted(
        (m, f, at, "all" if method == "single" else method) for m, f, at, method in kept
    )
    for (metric, factor, at, method), row in table.iterrows():
        points = []
        for of, task in itertools.product(METHODS[1:] if method == "all" else (method,), TASKS):
            score = told[of, task, metric, "end"]["z"] * (1 if metric == "accuracy" else -1)
            points += [
                (task, score, -told[of, task, factor, place]["z"])
                for place in ([at] if at == "end" else map(str, AT))
            ]
        clear = [point for point in points if min(abs(point[1]), abs(point[2])) > 2]
        explained = [float(score * own > 0) for _, score, own in clear]
        counts = row[["explained", "total", "n_unclear", "n_tasks"]].tolist()
        tasks = [task for task, _, _ in clear]
        assert counts == [sum(explained), len(clear), len(points) - len(clear), len(set(tasks))]
        if clear:
            ends = share_interval(np.array(explained), tasks, LEVEL)
            assert row[["share", "low", "high"]].tolist() == pytest.approx(
                [np.mean(explained), *ends]
            )
            assert row["reason"] == ""
        else:
            assert row["reason"] == "no point is 2 standard errors away from 0"
            assert row[["share", "low", "high"]].isna().all()
    assert table["total"].nunique() > 2
    assert set(table["setting"]) == {"s"}
