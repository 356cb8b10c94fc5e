"""What is constant, tied, missing, too little or too far apart: rows with a reason, never a crash.

Every analysis, its figure, and its JSON; pytest makes warnings errors.
"""

import json

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis import (
    conflict,
    correlate,
    diagnose,
    factors,
    front,
    gap,
    geometry,
    runs_from_frame,
)
from trajlab.errors import TrajlabError
from trajlab.report.figures import draw
from trajlab.report.tables import to_json
from trajlab.store import Column, Table, Trajectory, Writer, standard

SINGLE = {"baseline": {"method": "single"}}
OBJECTIVES = {"objective": {"sharp": "min", "accuracy": "max"}, **SINGLE}


def recorded(kind: str) -> pd.DataFrame:
    """Two methods of three runs; `kind` is what is wrong with them."""
    rng, rows = np.random.default_rng(0), []
    steps = {"one step": 1, "two steps": 2}.get(kind, 30)
    for method in ("single", "uniform"):
        for seed in range({"one run": 1, "two runs": 2}.get(kind, 3)):
            if kind == "one run a side" and method == "uniform" and seed:
                continue
            loss = 10 ** -np.linspace(0, 3, steps)
            if kind == "disjoint losses" and method == "uniform":
                loss *= 1e-5
            if kind == "zero loss":
                loss *= 0
            if kind == "infinite end" and seed == 0:
                loss[-1] = np.inf
            noise = rng.normal(size=(2, steps)) * (kind != "constant")
            accuracy = 80 + noise[0] / 2
            if kind == "ties":
                accuracy = 5 * np.round(accuracy / 5)
            if kind == "all NaN":
                accuracy = np.full(steps, np.nan)
            sharp = 1 + noise[1] / 9 + 0 * accuracy
            columns = {"step": range(1, steps + 1), "train_loss": loss, "accuracy": accuracy}
            columns |= {"sharpness/value": sharp, "fisher/trace": sharp}
            rows.append(pd.DataFrame({"method": method, "seed": seed, **columns}))
    return pd.concat(rows)


KINDS = (
    *("constant", "ties", "all NaN", "one run", "two runs", "one run a side", "disjoint losses"),
    *("zero loss", "infinite end", "one step", "two steps"),
)
MISSING = {  # what has no number, and the start of its reason
    "all NaN": (
        "gap",
        "no usable run of method=uniform: 0 incomplete, 0 diverged, 0 never "
        "evaluated, 90 evaluations",
    ),
    "zero loss": ("gap", "no common range of training loss"),
    "one run": ("gap", "one run on a side, so descriptive only"),
    "one run a side": ("gap", "one run on a side, so descriptive only"),
    "disjoint losses": ("gap", "no common range of training loss"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_and_figure_of_runs(kind):
    runs = runs_from_frame(recorded(kind), metrics=["accuracy"])
    made = {
        "gap": [
            gap(runs),
            gap(runs, rule="bins"),
            gap(runs, rule="first_passage", interval="2sd", onset="first"),
        ],
        "factors": [factors(runs), factors(runs, at=[0.01, 1e9])],
        "correlate": [correlate(runs, x="sharpness", y="final_metric", unit="seed")],
    }
    if kind not in ("all NaN", "zero loss"):
        made["gap"].append(gap(runs, metric="sharpness/value"))
    for name, results in made.items():
        for result in results:
            draw(name, result)
            json.loads(to_json(result.tables()))
    if kind in MISSING:
        assert made["gap"][0].summary["reason"][0].startswith(MISSING[kind][1])
    correlations = made["correlate"][0].correlations
    assert correlations.loc[correlations["estimate"].isna(), "reason"].ne("").all()
    delta = made["factors"][0].delta
    assert delta.loc[delta["delta"].isna(), "reason"].ne("").all()
    assert diagnose(runs, margin=0.5).verdict["sentence"].str.len().min() > 10


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_and_figure_of_a_table(kind):
    rows = recorded(kind).replace(np.inf, np.nan)
    table = rows.groupby(["method", "seed"], as_index=False).mean()
    table = table.rename(columns={"sharpness/value": "sharp"})
    columns = {"table": table, "x": "sharp", "y": "accuracy"}
    for options in ({}, {"given": "seed"}, {"within": "method"}, {"axes": ["method", "seed"]}):
        found = correlate(**columns, **options)
        missing = found.correlations["estimate"].isna()
        assert found.correlations.loc[missing, "reason"].ne("").all()
        draw("correlate", found)
    for options in ({}, {"group_by": ["seed"]}):
        found = front(table=table, **OBJECTIVES, **options)
        missing = found.distance["signed_distance"].isna()
        assert found.distance.loc[missing, "reason"].ne("").all()
        draw("front", found)
        json.loads(to_json(found.tables()))


@pytest.mark.parametrize("value", [0.0, np.nan, 1.0])
@pytest.mark.parametrize("steps", [1, 3])
def test_gradients_and_weights_without_variation(tmp_path, value, steps):
    tasks = ["left", "right"]
    for seed in range(2):
        writer = Writer(tmp_path / f"{seed}.h5", tasks, metadata={"seed": seed})
        gradients = standard("gradients", task=tasks, layer=["a"])
        sketch = Column("sketch", ("step", "task", "k"))
        weights = Column("weights", ("step", "k"))
        sketches = Table("sketches", (sketch, weights), {"task": tasks, "k": range(4)})
        for table in (gradients, sketches, standard("similarity", task=tasks)):
            writer.declare(table)
        writer.set_attributes("sketches", {"size": 4, "seed": 0})
        for step in range(steps):
            gram, cosine = np.full((1, 2, 2), value), np.full((2, 2), np.nan)
            writer.append("gradients", {"step": step, "gram": gram})
            writer.append("similarity", {"step": step, "cosine": cosine})
            row = {"sketch": np.full((2, 4), value), "weights": np.ones(4)}
            writer.append("sketches", {"step": step, **row})
        writer.close()
    runs = [Trajectory(tmp_path / f"{seed}.h5") for seed in range(2)]
    for layers in (False, True):
        found = conflict(runs, layers=layers)
        if value != 1:
            assert found.pairs["reason"].isin(["zero gradient", "not recorded"]).all()
        draw("conflict", found)
        json.loads(to_json(found.tables()))
    found = geometry(runs)
    assert found.distance["distance"].eq(0).all()
    draw("geometry", found)
    assert diagnose(runs).verdict["sentence"].str.len().min() > 10


def test_runs_of_one_task_have_no_conflict():
    with pytest.raises(TrajlabError, match="no complete run recorded the gradients"):
        conflict(runs_from_frame(recorded("ties"), metrics=["accuracy"]))
