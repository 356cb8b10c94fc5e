"""Every number of the tables of conflict, beside the gradients that it was made from.

Three tasks, two layers and three runs, of which one names its tasks in another order, one has a
step whose gradient is zero, and one a step where a task was not recorded. What each table should
hold is averaged here step by step and run by run, in plain loops.
"""

import itertools

import numpy as np
import pytest
from scipy import stats

from trajlab.analysis import conflict
from trajlab.store import Trajectory, Writer
from trajlab.store.schema import Column, Table, standard

TASKS, LAYERS, STEPS = ("top", "right", "left"), {"b": slice(0, 3), "a": slice(3, 8)}, 12
EARLY, LATE = slice(0, 2), slice(10, 12)  # a tenth of twelve steps, rounded up
ORDER = {0: [0, 1, 2], 1: [2, 0, 1], 2: [0, 1, 2]}  # in which a run names its tasks
PAIRS = [(0, 1), (0, 2), (1, 2)]
SIZES, LEVEL = (1, 4), 0.8


@pytest.fixture(scope="module")
def gradients():
    """(run, step, task, parameter), with a zero and a missing one."""
    made = np.random.default_rng(0).normal(size=(3, STEPS, 3, 8)) + 0.3
    made[:, :, 2] *= 3
    made[1, 4, 0] = 0
    made[2, 11, 1] = np.nan
    return made


@pytest.fixture(scope="module")
def weights():
    return np.random.default_rng(1).uniform(0.5, 2, size=(3, STEPS, 3))


@pytest.fixture(scope="module")
def noise():
    """(run, step, task); the last run has none."""
    return np.random.default_rng(2).uniform(1, 9, size=(2, STEPS, 3))


@pytest.fixture(scope="module")
def corrected():
    """(run, step) cosines, errors, and (run, step, task) ceilings and flags."""
    rng = np.random.default_rng(3)
    cosine = rng.uniform(-0.9, 0.9, size=(2, 3, 3, 3))
    cosine = (cosine + cosine.swapaxes(-1, -2)) / 2
    error = rng.uniform(0.1, 0.2, size=cosine.shape)
    error = (error + error.swapaxes(-1, -2)) / 2
    flags = np.zeros((2, 3, 3), bool)
    flags[1, :, 2] = flags[0, 1, 2] = True  # "left" is noise, but for two steps of the first run
    cosine[1, :, 2] = cosine[1, :, :, 2] = cosine[0, 1, 2] = cosine[0, 1, :, 2] = np.nan
    return cosine, error, rng.uniform(size=(2, 3, 3)), flags


@pytest.fixture(scope="module")
def examples():
    """(run, step, kind of pair and measure, size, task, other task)."""
    made = np.random.default_rng(4).uniform(size=(2, 2, 6, 2, 3, 3))
    made = (made + made.swapaxes(-1, -2)) / 2
    made[0, 1, :, 1] = np.nan  # too few examples for the larger size
    made[:, :, 3:, 0] = np.nan  # never the same ones, one at a time
    made[1, 0, 0, 0, 2, 2] = np.nan  # one task had no example
    return made


@pytest.fixture(scope="module")
def sketches():
    """(run, step, task and weights, k); the first run has none."""
    made = np.random.default_rng(6).normal(size=(2, 6, 4, 5))
    made[0, 2, 1] = 0
    return made


@pytest.fixture(scope="module")
def result(gradients, weights, noise, corrected, examples, sketches, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    runs = []
    for seed, order in ORDER.items():
        tasks, picked = [TASKS[i] for i in order], np.ix_(order, order)
        shared = ["a.weight", "b.weight"]
        writer = Writer(folder / f"{seed}.h5", tasks, shared=shared, metadata={"seed": seed})
        writer.declare(standard("gradients", task=tasks, layer=list(LAYERS)))
        writer.set_attributes("gradients", {"complete": True})
        writer.declare(standard("losses", task=tasks))
        for step, own in enumerate(gradients[seed]):
            parts = (own[order][:, columns] for columns in LAYERS.values())
            writer.append("gradients", {"step": 10 * step, "gram": [g @ g.T for g in parts]})
            row = {"step": 10 * step, "micro_step": step, "weight": weights[seed, step][order]}
            writer.append("losses", row)
        if seed > 0:
            writer.declare(standard("sketches", "weights", task=tasks, k=range(5)))
            for step, made in enumerate(sketches[seed - 1]):
                row = {"step": 20 * step, "sketch": made[order], "weights": made[3]}
                writer.append("sketches", row)
        if seed < 2:
            writer.declare(standard("noise", task=tasks))
            for step, scale in enumerate(noise[seed]):
                writer.append("noise", {"step": 10 * step, "noise_scale": scale[order]})
            writer.declare(standard("similarity", "noise_dominated", task=tasks))
            for step in range(3):
                cosine, error, ceiling, flags = (each[seed, step] for each in corrected)
                row = {"step": 40 * step, "cosine": cosine[picked], "se": error[picked]}
                row |= {"ceiling": ceiling[order], "noise_dominated": flags[order]}
                writer.append("similarity", row)
            names = [f"{of}{name}" for of in ("", "same_") for name in MEASURES]
            axes = ("step", "size", "task", "other_task")
            held = {"size": list(SIZES), "task": tasks, "other_task": tasks}
            columns = tuple(Column(name, axes) for name in names)
            writer.declare(Table("example_conflict", columns, held))
            for step in range(2):
                values = examples[seed, step][..., order, :][..., order]
                row = dict(zip(names, values, strict=True))
                writer.append("example_conflict", {"step": step, **row})
        writer.close()
        runs.append(Trajectory(writer.path))
    return conflict(runs, layers=True, confidence=LEVEL)


MEASURES = ("cosine", "negative", "magnitude")


def interval(values):
    """Return mean and t interval of the runs that have a value."""
    known = np.array([value for value in values if np.isfinite(value)])
    if known.size < 2:
        return [known.mean() if known.size else np.nan, np.nan, np.nan]
    error = known.std(ddof=1) / np.sqrt(known.size)
    half = stats.t.ppf((1 + LEVEL) / 2, known.size - 1) * error
    return [known.mean(), known.mean() - half, known.mean() + half]


def mean(values):
    known = np.asarray(values)[np.isfinite(values)]
    return known.mean() if known.size else np.nan


def over_runs(series):
    """Return mean, low, high, early and late of (run, step) values: of steps, then of runs."""
    ends = [mean([mean(run[end]) for run in series]) for end in (EARLY, LATE)]
    return [*interval([mean(run) for run in series]), *ends]


def cosine(a, b):
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return a @ b / size if size > 0 else np.nan


def of_steps(gradients, read):
    """Return (run, step) values of what is read of each step's gradients."""
    return np.array([[read(own) for own in run] for run in gradients])


def test_summary(result, gradients, corrected):
    table = result.summary.set_index(["layer", "task_a", "task_b"])
    layers = {"all": slice(0, 8), **LAYERS}
    expected = [(layer, TASKS[i], TASKS[j]) for layer in layers for i, j in PAIRS]
    assert table.index.tolist() == expected
    assert (table["n_runs"] == 3).all()
    for (layer, columns), (i, j) in itertools.product(layers.items(), PAIRS):
        row = table.loc[(layer, TASKS[i], TASKS[j])]
        series = of_steps(gradients, lambda own, c=columns, i=i, j=j: cosine(own[i, c], own[j, c]))
        names = ["mean_cosine", "low", "high", "cosine_early", "cosine_late"]
        assert row[names].tolist() == pytest.approx(over_runs(series)), (layer, i, j)
        opposed = [np.mean(run[np.isfinite(run)] < 0) for run in series]
        assert row["share_conflicting"] == pytest.approx(np.mean(opposed))
        assert row[["n_zero", "n_missing"]].tolist() == [int(0 in (i, j)), int(1 in (i, j))]
        assert row["reason"] == ""
        names = ["corrected_cosine", "corrected_low", "corrected_high", "ceiling"]
        if layer != "all":  # noise is corrected of the whole gradient alone
            assert row[[*names, "n_corrected", "reading"]].isna().all()
            continue
        values, errors, ceilings, _ = corrected
        runs = [mean(values[run, :, i, j]) for run in range(2)]
        told = interval(runs)
        if 2 in (i, j):  # one run is left: its own error, of its two steps
            half = stats.norm.ppf((1 + LEVEL) / 2) * errors[0, [0, 2], i, j].mean()
            told = [runs[0], runs[0] - half, runs[0] + half]
        ceiling = (ceilings[..., i].mean() + ceilings[..., j].mean()) / 2
        assert row[names].tolist() == pytest.approx([*told, ceiling])
        counts = row[["n_corrected", "n_noise_dominated"]].tolist()
        assert counts == ([1, 4] if 2 in (i, j) else [2, 0])


def test_pairs(result, gradients):
    table = result.pairs.set_index(["run", "step", "layer", "task_a", "task_b"])
    assert len(table) == 3 * STEPS * 3 * 3
    for seed, path in enumerate(dict.fromkeys(result.pairs["run"])):
        for (layer, columns), (i, j) in itertools.product(LAYERS.items(), PAIRS):
            rows = table.loc[(path, slice(None), layer, TASKS[i], TASKS[j])]
            assert rows.index.get_level_values("step").tolist() == list(range(0, 120, 10))
            first, second = gradients[seed][:, i, columns], gradients[seed][:, j, columns]
            cosines = [cosine(a, b) for a, b in zip(first, second, strict=True)]
            assert rows["cosine"].to_numpy() == pytest.approx(np.array(cosines), nan_ok=True)
            a, b = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
            alike = 2 * a * b / (a**2 + b**2)
            assert rows["magnitude_similarity"].to_numpy() == pytest.approx(alike, nan_ok=True)
            assert rows["conflicting"].tolist() == [c < 0 for c in cosines]
            reasons = dict(enumerate(rows["reason"]))
            assert reasons.pop(4) == ("zero gradient" if seed == 1 and i == 0 else "")
            assert reasons.pop(11) == ("not recorded" if seed == 2 and 1 in (i, j) else "")
            assert set(reasons.values()) == {""}


def test_tasks_and_their_steps(result, gradients, weights, noise, sketches):
    table, steps = result.tasks.set_index("task"), result.similarity
    assert table.index.tolist() == list(TASKS)
    ends = ("", "_low", "_high", "_early", "_late")
    for i, task in enumerate(TASKS):
        to_sum, to_others, share = np.full((3, 3, STEPS), np.nan)
        for run, step in itertools.product(range(3), range(STEPS)):
            own, weight = gradients[run, step], weights[run, step]
            known = [k for k in range(3) if np.isfinite(own[k]).all()]
            others = sum(weight[k] * own[k] for k in known if k != i)
            if i in known:
                to_sum[run, step] = cosine(own[i], others + weight[i] * own[i])
                to_others[run, step] = cosine(own[i], others)
            norms = np.linalg.norm(own, axis=1)
            share[run, step] = norms[i] / norms.sum()
        measures = {"cosine_to_update": to_sum, "excess": to_sum - 3**-0.5}
        measures |= {"cosine_to_others": to_others, "norm_share": share}
        mine = steps[steps["task"] == task]
        for name, series in measures.items():
            assert mine[name].to_numpy() == pytest.approx(series.ravel(), nan_ok=True)
            found = table.loc[task, [name + end for end in ends]].tolist()
            assert found == pytest.approx(over_runs(series))
        why = {(1, 4): "zero gradient"} if i == 0 else {(2, 11): "not recorded"} if i == 1 else {}
        places = itertools.product(range(3), range(STEPS))
        assert mine["reason"].tolist() == [why.get(place, "") for place in places]
        assert mine["step"].tolist() == [*range(0, 120, 10)] * 3
        found = table.loc[task, [f"noise_scale{end}" for end in ends]].tolist()
        assert found == pytest.approx(over_runs(noise[..., i]))
        own, at = sketches[:, :, i], sketches[:, :, 3]
        to_step = [
            [cosine(-run[k], w[k + 1] - w[k]) for k in range(5)]
            for run, w in zip(own, at, strict=True)
        ]
        ends_of_five = [np.mean([run[0] for run in to_step]), np.mean([run[-1] for run in to_step])]
        found = table.loc[task, [f"cosine_to_step{end}" for end in ends]].tolist()
        assert found == pytest.approx([*interval([mean(run) for run in to_step]), *ends_of_five])


def test_likeness_across_time(result, sketches):
    table = result.across_time.set_index(["task", "lag"])
    assert table.index.tolist() == [(task, lag) for task in TASKS for lag in (1, 2, 4)]
    for (i, task), lag in itertools.product(enumerate(TASKS), (1, 2, 4)):
        runs = [
            [cosine(run[k, i], run[k + lag, i]) for k in range(len(run) - lag)] for run in sketches
        ]
        row = table.loc[(task, lag)]
        found = row[["mean_cosine", "low", "high"]].tolist()
        assert found == pytest.approx(interval([mean(run) for run in runs]))
        signs = [np.sign([c for c in run if np.isfinite(c)]).mean() for run in runs]
        assert row["mean_sign"] == pytest.approx(np.mean(signs))
        assert row["steps_apart"] == 20 * lag


def test_overall(result, gradients, noise):
    def directional(own):
        if not np.linalg.norm(own, axis=1).all():
            return np.nan
        units = own / np.linalg.norm(own, axis=1, keepdims=True)
        return np.linalg.norm(units.mean(axis=0)) ** 2 - 1 / 3

    def magnitude(own):
        squares = (own**2).sum(axis=1)
        return squares.var() / squares.mean() ** 2

    (row,) = (row for _, row in result.overall.iterrows())
    measures = {"directional": of_steps(gradients, directional)}
    measures |= {"magnitude": of_steps(gradients, magnitude), "noise": noise.mean(axis=-1)}
    for name, series in measures.items():
        found = [row[name + end] for end in ("", "_low", "_high", "_early", "_late")]
        assert found == pytest.approx(over_runs(series)), name
    assert row["n_runs"] == 3


def test_corrected(result, corrected):
    cosines, errors, ceilings, flags = corrected
    table = result.corrected.set_index(["run", "step", "task_a", "task_b"])
    assert len(table) == 2 * 3 * 3
    for seed, path in enumerate(dict.fromkeys(result.corrected["run"])):
        for step, (i, j) in itertools.product(range(3), PAIRS):
            row = table.loc[(path, 40 * step, TASKS[i], TASKS[j])]
            found = row[["cosine", "se", "ceiling_a", "ceiling_b"]].tolist()
            expected = [each[seed, step, i, j] for each in (cosines, errors)]
            expected += [ceilings[seed, step, i], ceilings[seed, step, j]]
            assert found == pytest.approx(expected, nan_ok=True)
            noisy = flags[seed, step, [i, j]].any()
            assert row["reason"] == ("noise-dominated" if noisy else "")


def test_examples(result, examples):
    table = result.examples.set_index(["size", "between"])
    kinds = {"examples of a task": (0, [(i, i) for i in range(3)]), "tasks": (0, PAIRS)}
    kinds |= {"tasks, same examples": (3, PAIRS)}
    expected = [(size, kind) for kind in kinds for size in SIZES]
    expected.remove((1, "tasks, same examples"))  # never measured
    assert table.index.tolist() == expected
    for size, kind in expected:
        row, (first, places) = table.loc[(size, kind)], kinds[kind]
        assert (row["n_runs"], row["reason"]) == (2, "")
        for offset, name in enumerate(MEASURES):
            each = examples[:, :, first + offset, SIZES.index(size)]
            runs = [mean([mean([at[p] for p in places]) for at in run]) for run in each]
            found = row[[name, f"{name}_low", f"{name}_high"]].tolist()
            assert found == pytest.approx(interval(runs)), (size, kind, name)


def test_a_pair_that_never_had_a_cosine_has_no_number_and_sums_of_0_have_a_reason(tmp_path):
    """The third task's gradient is 0; the first two are opposed, and equal in one step of two."""
    writer = Writer(tmp_path / "run.h5", TASKS)
    writer.declare(standard("gradients", task=TASKS, layer=["l"]))
    for step, size in enumerate((1.0, 2.0)):
        own = np.array([[1.0, 0.0], [-size, 0.0], [0.0, 0.0]])
        writer.append("gradients", {"step": step, "gram": (own @ own.T)[None]})
    writer.close()
    result = conflict([Trajectory(writer.path)])
    table = result.summary.set_index(["task_a", "task_b"])
    assert table["mean_cosine"].tolist() == pytest.approx([-1, np.nan, np.nan], nan_ok=True)
    assert table["share_conflicting"].tolist() == pytest.approx([1, np.nan, np.nan], nan_ok=True)
    assert table["n_runs"].tolist() == [1, 0, 0]
    assert table["n_zero"].tolist() == [0, 2, 2]
    told = result.similarity["reason"].tolist()
    assert told == ["zero sum", "zero sum", "zero gradient", "", "", "zero gradient"]


def test_runs_of_other_tasks_are_a_group_and_each_has_its_own_rows(tmp_path):
    """No task is trained in both ways, so that nothing tells the runs apart but the seed."""
    runs = []
    for seed, tasks in enumerate((["b", "a"], ["e", "d", "c"])):
        n, writer = len(tasks), Writer(tmp_path / f"{seed}.h5", tasks, metadata={"seed": seed})
        writer.declare(standard("gradients", task=tasks, layer=["l"]))
        writer.append("gradients", {"step": 0, "gram": np.eye(n)[None]})
        writer.declare(standard("sketches", task=tasks, k=range(4)))
        for step in range(2):
            writer.append("sketches", {"step": step, "sketch": np.ones((n, 4))})
        names = [f"{of}{name}" for of in ("", "same_") for name in MEASURES]
        columns = tuple(Column(name, ("step", "size", "task", "other_task")) for name in names)
        held = {"size": [1], "task": tasks, "other_task": tasks}
        writer.declare(Table("example_conflict", columns, held))
        row = dict.fromkeys(names, np.full((1, n, n), float(n)))
        writer.append("example_conflict", {"step": 0, **row})
        writer.close()
        runs.append(Trajectory(writer.path))
    result = conflict(runs)
    assert result.summary["task_a"].tolist() == ["b", "e", "e", "d"]
    assert result.across_time["task"].tolist() == list("baedc")
    assert result.examples["cosine"].tolist() == [2.5] * 3  # of the runs' 2 and 3
    assert (result.examples["n_runs"] == 2).all()
