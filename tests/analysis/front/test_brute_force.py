"""Fronts of two to five objectives against brute force, and of forty within memory."""

import tracemalloc
from itertools import product

import numpy as np
import pandas as pd
import pytest

from trajlab.analysis import front
from trajlab.analysis.front.pareto import hypervolume, set_distance

CONFIGURATIONS, SEEDS = 12, 4


def made_up(objectives, per_method=CONFIGURATIONS, seeds=SEEDS):
    """Runs of two methods; more of every second objective is better, less of the others."""
    rng = np.random.default_rng(objectives)
    names = [f"o{i}" for i in range(objectives)]
    rows = []
    for method, configuration in product(("scalarization", "other"), range(per_method)):
        truth = rng.normal(size=objectives)
        for seed, split in product(range(seeds + 1), ("train", "validation", "test")):
            values = dict(zip(names, truth + rng.normal(size=objectives) / 5, strict=True))
            head = {"method": method, "configuration": configuration, "seed": seed}
            rows.append({**head, "fresh": seed > 0, "split": split, **values})
    objective = {name: "min" if i % 2 else "max" for i, name in enumerate(names)}
    return pd.DataFrame(rows), objective


def means(table, objective, method, split, fresh):
    """Return each configuration's mean, turned so that more is better."""
    own = table.query("method == @method and split == @split and fresh == @fresh")
    sign = [1 if way == "max" else -1 for way in objective.values()]
    return own.groupby("configuration")[list(objective)].mean().to_numpy() * sign


def dominated(point, points):
    return any(
        all(b >= a for a, b in zip(point, other, strict=True))
        and any(b > a for a, b in zip(point, other, strict=True))
        for other in points
    )


def on_front(points):
    return [not dominated(point, points) for point in points]


def lead(point, others):
    """By how much every objective could fall before some other point is as good."""
    return min(max(a - b for a, b in zip(point, other, strict=True)) for other in others)


def volume(points, reference):
    """Of the union of boxes, by inclusion and exclusion."""
    total = 0.0
    for chosen in product((False, True), repeat=len(points)):
        if any(chosen):
            corner = np.min(points[np.array(chosen)], axis=0)
            sign = 1 if sum(chosen) % 2 else -1
            total += sign * float(np.prod(np.maximum(corner - reference, 0)))
    return total


@pytest.mark.parametrize("objectives", [2, 3, 4, 5])
def test_every_table_is_what_brute_force_finds(objectives):
    table, objective = made_up(objectives)
    found = front(
        table=table, objective=objective, fresh={"fresh": "True"}, group_by=["configuration"]
    )
    reached = {}
    for method in ("scalarization", "other"):
        validation = means(table, objective, method, "validation", False)
        taken = on_front(validation)
        points = found.points[found.points["method"] == method]
        assert points["chosen"].tolist() == taken
        reached[method] = means(table, objective, method, "test", True)[taken]
        trained = found.training[found.training["method"] == method]
        assert trained["on_front"].tolist() == on_front(
            means(table, objective, method, "train", False)
        )
        best = {
            tuple(np.round(w, 9)): validation @ w
            for w in np.array(list(product(range(11), repeat=objectives))) / 10
            if abs(w.sum() - 1) < 1e-9
        }
        reached[method, "best"] = {w: int(np.argmax(values)) for w, values in best.items()}
    everything = np.vstack(
        [means(table, objective, m, "test", True) for m in ("scalarization", "other")]
    )
    assert found.points["non_dominated"].tolist() == on_front(everything)
    ours, theirs = reached["other"], reached["scalarization"]
    forth = np.mean([lead(point, theirs) for point in ours])
    back = np.mean([lead(point, ours) for point in theirs])
    assert found.distance["signed_distance"].item() == pytest.approx((forth - back) / 2)

    some = ours[:6]
    reference = some.min(axis=0) - 1
    assert hypervolume(some, reference) == pytest.approx(volume(some, reference))

    tests = {m: means(table, objective, m, "test", True) for m in ("scalarization", "other")}
    for row in found.flips.to_dict("records"):
        weights = [float(part.split("=")[1]) for part in row["weights"].split(", ")]
        if objectives > 4:  # on lines, which are not on the grid
            continue
        own = [
            float(tests[m][reached[m, "best"][tuple(np.round(weights, 9))]] @ weights)
            for m in ("scalarization", "other")
        ]
        assert row["difference"] == pytest.approx(own[0] - own[1])


def test_chosen_points_have_the_interval_of_their_fresh_runs():
    table, objective = made_up(2)
    found = front(
        table=table, objective=objective, fresh={"fresh": "True"}, group_by=["configuration"]
    ).chosen
    row = found[found["objective"] == "o1"].iloc[0]
    of_it = table["configuration"] == int(row["configuration"].split("=")[1])
    of_it &= table["method"] == row["method"]
    own = table[of_it].query("split == 'test' and fresh")["o1"]
    assert row["mean"] == pytest.approx(own.mean())
    half = 3.1824 * own.std(ddof=1) / np.sqrt(len(own))
    assert (row["low"], row["high"]) == pytest.approx((own.mean() - half, own.mean() + half), 1e-4)


@pytest.mark.parametrize("shape", [(), (3,), (5000,)])
def test_samples_are_compared_one_by_one_however_many(shape):
    rng = np.random.default_rng(0)
    points, other = rng.normal(size=(*shape, 7, 3)), rng.normal(size=(*shape, 5, 3))
    found = set_distance(points, other)
    assert found.shape == shape
    for index in [()] if not shape else [(0,), (shape[0] - 1,)]:
        forth = np.mean([lead(point, other[index]) for point in points[index]])
        back = np.mean([lead(point, points[index]) for point in other[index]])
        assert found[index] == pytest.approx((forth - back) / 2)


def test_forty_objectives_and_two_hundred_configurations_need_little_memory():
    """All differences at once were gigabytes."""
    rng = np.random.default_rng(0)
    points, other = rng.normal(size=(2000, 100, 40)), rng.normal(size=(2000, 100, 40))
    tracemalloc.start()
    set_distance(points, other)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
