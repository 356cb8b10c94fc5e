"""Fronts of two to five objectives against brute force, and of forty within memory."""

import tracemalloc
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from trajlab.analysis import front
from trajlab.analysis.front.pareto import hypervolume, resampled_means, set_distance

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


def test_every_table_has_the_coverage_and_the_draws_that_were_asked_for():
    """Of methods that are unlike in configurations, runs, and runs that were chosen from."""
    table, objective = made_up(2, per_method=7)
    other = table["method"] == "other"
    gone = other & (table["configuration"] == 6) | ~other & (table["configuration"] > 3)
    table = table[~gone & ~(other & (table["seed"] == SEEDS))]
    again = table.query("method == 'other' and not fresh").assign(seed=99)
    table = pd.concat([table, again])
    methods = {"scalarization": 4, "other": 6}
    found = front(
        table=table,
        objective=objective,
        fresh={"fresh": "True"},
        group_by=["configuration"],
        confidence=0.8,
        seed=3,
    )
    runs, chosen, measured = {}, {}, {}
    for method, n in methods.items():
        fresh = table.query("method == @method and split == 'test' and fresh")
        own = [fresh[fresh["configuration"] == i][["o0", "o1"]].to_numpy() for i in range(n)]
        runs[method] = [part * [1, -1] for part in own]
        measured[method] = means(table, objective, method, "test", True)
        taken = on_front(means(table, objective, method, "validation", False))
        chosen[method] = [i for i in range(n) if taken[i]]
        for made, split in ((found.points, "test"), (found.training, "train")):
            points = made[made["method"] == method]
            assert points["configuration"].tolist() == [f"configuration={i}" for i in range(n)]
            values = means(table, objective, method, split, split == "test") * [1, -1]
            assert points[["o0", "o1"]].to_numpy() == pytest.approx(values)
            seeds = (4 if method == "scalarization" else 3) if split == "test" else 1 + (n > 4)
            assert points["n_runs"].tolist() == [seeds] * n
        rows = found.chosen[found.chosen["method"] == method]
        assert rows["n_runs"].tolist() == [len(runs[method][0])] * 2 * len(chosen[method])
        place = iter(rows.to_dict("records"))
        for i in chosen[method]:
            for own in (runs[method][i] * [1, -1]).T:
                row, end = next(place), stats.ttest_1samp(own, 0).confidence_interval(0.8)
                assert row["configuration"] == f"configuration={i}"
                assert row["mean"] == pytest.approx(own.mean())
                assert (row["low"], row["high"]) == pytest.approx((end.low, end.high))
    heads = found.distance[["n_runs", "n_baseline", "n_trials", "n_trials_baseline"]]
    assert heads.to_numpy().tolist() == [[18, 16, 12, 4]]
    names = ["n_chosen", "n_chosen_baseline", "fewest_runs"]
    sides = ("other", "scalarization")
    assert found.distance[names].iloc[0].tolist() == [*(len(chosen[m]) for m in sides), 3]
    assert found.distance["reason"].item() == "unequal numbers of trials favour the larger"
    drawn = [
        resampled_means([runs[method][i] for i in chosen[method]], seed=seed)
        for seed, method in zip((3, 4), sides, strict=True)
    ]
    spread = set_distance(*drawn)
    ends = found.distance["signed_distance"].item() + np.quantile(
        spread - spread.mean(), (0.1, 0.9)
    )
    assert found.distance[["low", "high"]].iloc[0].tolist() == pytest.approx(ends.tolist())

    everything = np.vstack(list(measured.values()))
    low, high = everything.min(axis=0), everything.max(axis=0)
    reference = low - (high - low) / 10
    volumes = [volume(measured[method][chosen[method]], reference) for method in methods]
    assert found.hypervolume["hypervolume"].tolist() == pytest.approx(volumes)
    assert found.hypervolume["reference"].unique().tolist() == [
        f"{reference[0]:.4g}, {-reference[1]:.4g}"
    ]
    assert found.hypervolume[["n_runs", "n_trials"]].to_numpy().tolist() == [[16, 4], [18, 12]]

    validation = {m: means(table, objective, m, "validation", False) for m in methods}
    draws = {
        method: [resampled_means([own], seed=seed)[:, 0] for own in runs[method]]
        for seed, method in zip((3, 4), methods, strict=True)
    }
    ways = set()
    for row, share in zip(found.flips.to_dict("records"), np.arange(11) / 10, strict=True):
        weights = np.array([share, 1 - share])
        best = {m: int(np.argmax(validation[m] @ weights)) for m in methods}
        one, two = (draws[m][best[m]] @ weights for m in methods)
        ends = np.quantile(one - two, (0.1, 0.9))
        assert row["weights"] == f"o0={share:.1f}, o1={1 - share:.1f}"
        assert (row["low"], row["high"]) == pytest.approx(tuple(ends))
        assert row["significant"] == (ends[0] > 0 or ends[1] < 0)
        ways |= {np.sign(ends[0])} if row["significant"] else set()
        assert (row["method"], row["baseline"]) == ("scalarization", "method=other")
        assert (row["n_runs"], row["n_baseline"]) == (16, 18)
    assert found.flips["flips"].tolist() == [
        several and len(ways) > 1 for several in found.flips["significant"]
    ]

    for row, method in zip(found.spread.to_dict("records"), methods, strict=True):
        of_grids = [
            measured[method][max(grid, key=lambda i: validation[method][i].sum())].mean()
            for grid in combinations(range(methods[method]), 3)
        ]
        assert row["grid_sd"] == pytest.approx(np.std(of_grids))
        seeds = [own.mean(axis=1).var(ddof=1) for own in runs[method]]
        assert row["seed_sd"] == pytest.approx(np.mean(seeds) ** 0.5)
        assert row["ratio"] == pytest.approx(row["grid_sd"] / row["seed_sd"])
        assert (row["n_configurations"], row["grid_size"]) == (methods[method], 3)


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
