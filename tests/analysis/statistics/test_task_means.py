"""The mean effect over tasks, and Δm, against cases by hand and simulation."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression import mixed_linear_model

from trajlab.analysis.statistics.mixed import mean_over_tasks
from trajlab.analysis.statistics.relative import mean_relative_change
from trajlab.analysis.statistics.task_scores import TaskScores


def study(rng, tasks=6, runs=5, effect=0.3, between=0.3):
    """Return scores of networks of several tasks against runs of one, and each task's effect."""
    own = effect + rng.normal(0, between, tasks)
    task, run = (axis.ravel() for axis in np.indices((tasks, runs)))
    shared = rng.normal(0, 0.2, runs)[run]
    several = 80 + task + own[task] + shared + rng.normal(0, 0.2, task.size)
    single = 80 + task + rng.normal(0, 0.3, task.size)
    names = np.append(
        [f"network {i}" for i in run], [f"{i} of {k}" for i, k in zip(run, task, strict=True)]
    )
    score, treated = np.append(several, single), np.repeat([True, False], task.size)
    return TaskScores(score, np.tile(task, 2).astype(str), treated, names), own


def test_the_mean_effect_is_covered_and_shrunken_estimates_lie_closer():
    rng = np.random.default_rng(0)
    covered, closer = [], []
    for _ in range(60):
        world, own = study(rng)
        found = mean_over_tasks(world)
        covered.append(found.low <= 0.3 <= found.high)
        score, task, treated, _ = world
        raw = [
            score[(task == k) & treated].mean() - score[(task == k) & ~treated].mean()
            for k in found.tasks
        ]
        closer.append(((found.effects - own) ** 2).mean() - ((raw - own) ** 2).mean())
    assert np.mean(covered) >= 0.9
    assert np.mean(closer) < 0


@pytest.mark.parametrize("seed", [3, 11])
def test_rows_in_another_order_tell_the_same(seed):
    """Effects that hardly differ between tasks, whose variance is hard to tell from 0."""
    rng = np.random.default_rng(seed)
    world, _ = study(rng, tasks=4, runs=3, between=0.1)
    once = mean_over_tasks(world)
    for _ in range(3):
        order = rng.permutation(len(world.score))
        again = mean_over_tasks(TaskScores(*(np.asarray(column)[order] for column in world)))
        for name in ("estimate", "low", "high", "p_value"):
            assert getattr(again, name) == pytest.approx(getattr(once, name), rel=1e-4), name


def test_two_tasks_are_too_few():
    world, _ = study(np.random.default_rng(0), tasks=2)
    assert mean_over_tasks(world).reason == "fewer than 3 tasks"
    world, _ = study(np.random.default_rng(0), tasks=3)
    assert np.isfinite(mean_over_tasks(world).estimate)


class Model:
    """A mixed model whose fits end as they are told to."""

    def __init__(self, converged, error):
        self.fitted = SimpleNamespace(converged=converged, bse_fe=[error], llf=0.0)

    def fit(self, **how):
        if self.fitted.bse_fe == [None]:
            raise np.linalg.LinAlgError
        return self.fitted


@pytest.mark.parametrize(("converged", "error"), [(False, 1.0), (True, np.nan), (True, None)])
def test_a_fit_that_is_none_says_so(monkeypatch, converged, error):
    monkeypatch.setattr(mixed_linear_model, "MixedLM", lambda *a, **k: Model(converged, error))
    world, _ = study(np.random.default_rng(0))
    made = mean_over_tasks(world)
    assert made.reason == "the mixed model of tasks and runs did not converge"
    assert np.isnan([made.estimate, made.low, made.p_value, *made.effects]).all()


def test_relative_changes_by_hand():
    """Task a rises from 80 by 10 %; the loss of b falls from 2 by half: Δm = 30 %."""
    score = np.array([88.0, -1, 80, -2])
    treated = np.array([True, True, False, False])
    scores = TaskScores(score, ["a", "b"] * 2, treated, ["m", "m", "s", "t"])
    found = mean_relative_change(scores)
    assert found.estimate == pytest.approx(30)
    assert np.isnan(found.low)
    nothing = scores._replace(score=np.array([88.0, -1, 80, 0]))
    assert np.isnan(mean_relative_change(nothing).estimate)


def test_the_interval_of_the_relative_change_covers_it():
    rng, covered = np.random.default_rng(1), []
    for _ in range(200):
        world, own = study(rng, between=0)
        truth = 100 * np.mean(own / (80 + np.arange(6)))
        found = mean_relative_change(world)
        covered.append(found.low <= truth <= found.high)
    assert 0.91 <= np.mean(covered) <= 0.99


@pytest.mark.parametrize("level", [50.0, -50.0])
def test_the_error_of_a_relative_change_is_that_of_the_delta_method(level):
    """Of one task 100 (t − b) / |b|: each side's variance times its squared slope."""
    baseline, treated = level + np.array([-2.0, 0.0, 5.0]), level + np.array([4.0, 8.0, 9.0, 3.0])
    b, t = baseline.mean(), treated.mean()
    variances = [
        baseline.var(ddof=1) / 3 * (100 * t / b**2) ** 2,
        treated.var(ddof=1) / 4 * (100 / b) ** 2,
    ]
    score = np.concatenate([baseline, treated])
    side = np.arange(7) >= 3
    scores = TaskScores(score, np.full(7, "a"), side, np.arange(7).astype(str))
    made = mean_relative_change(scores)
    assert made.estimate == pytest.approx(100 * (t - b) / abs(b))
    assert made.error == pytest.approx(sum(variances) ** 0.5)
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 2 + variances[1] ** 2 / 3)
    assert made.freedom == pytest.approx(freedom)


def test_tasks_of_one_run_move_the_relative_change_together():
    """Of an accuracy and a negated loss: influences of runs by finite differences."""
    rng = np.random.default_rng(3)
    apart = rng.normal(size=(6, 1)) * [4.0, 0.2] + rng.normal(size=(6, 2)) * [0.5, 0.02]
    score = (np.array([80.0, -2.0]) + apart + np.repeat([0, 1], 3)[:, None] * [4.0, 0.5]).ravel()
    task, run = np.tile(["a", "b"], 6), np.repeat(np.arange(6), 2).astype(str)
    treated = np.repeat([False, True], 6)

    def change(values):
        return float(mean_relative_change(TaskScores(values, task, treated, run)).estimate)

    slopes = [(change(score + h) - change(score - h)) / 2e-4 for h in 1e-4 * np.eye(12)]
    variance = 0.0
    for side in (False, True):
        of_side = score[treated == side].reshape(3, 2)
        centred = of_side - of_side.mean(axis=0)
        moved = (centred * np.array(slopes)[treated == side].reshape(3, 2)).sum(axis=1)
        variance += 3 * moved.var(ddof=1)
    made = mean_relative_change(TaskScores(score, task, treated, run))
    assert made.error == pytest.approx(variance**0.5, rel=1e-5)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_of_tasks_that_share_no_network_the_mean_has_the_t_interval_of_their_differences(
    confidence,
):
    """Balanced tasks trained alone: the mixed model is a t test of the tasks' differences."""
    rng, tasks, runs = np.random.default_rng(7), 5, 4
    task = np.tile(np.repeat(np.arange(tasks), runs), 2)
    treated = np.repeat([True, False], tasks * runs)
    own = np.array([3.0, -1.0, 2.0, 4.0, 0.5])
    score = 10.0 * task + treated * own[task] + rng.normal(0, 0.3, task.size)
    found = mean_over_tasks(
        TaskScores(score, task.astype(str), treated, np.arange(task.size).astype(str)), confidence
    )
    differences = [
        score[(task == k) & treated].mean() - score[(task == k) & ~treated].mean()
        for k in range(tasks)
    ]
    expected = stats.ttest_1samp(differences, 0)
    ends = expected.confidence_interval(confidence)
    assert found.estimate == pytest.approx(np.mean(differences))
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), abs=2e-3)  # of the fit
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-3)
    noise = 0.3**2 * 2 / runs
    assert found.between_sd**2 + noise == pytest.approx(np.var(differences, ddof=1), rel=0.05)


def test_networks_of_several_tasks_add_their_error_with_degrees_of_freedom_of_their_own():
    """Balanced: the mean squares of tasks' differences, networks and residuals tell everything."""
    rng, tasks, sizes = np.random.default_rng(5), 4, (6, 3)
    own = np.array([1.0, 2.5, 0.0, 1.5])
    sides, squares, rests = [], 0.0, 0.0
    for treated, n in zip((True, False), sizes, strict=True):
        scores = rng.normal(0, 0.2, (n, tasks)) + rng.normal(0, 0.9, (n, 1)) + treated * own
        sides.append(scores)
        runs, column = scores.mean(axis=1, keepdims=True), scores.mean(axis=0)
        squares += tasks * ((runs - runs.mean()) ** 2).sum()
        rests += ((scores - runs - column + runs.mean()) ** 2).sum()
    free = sum(sizes) - 2
    rest, of_run = rests / free / (tasks - 1), squares / free
    apart = sides[0].mean(axis=0) - sides[1].mean(axis=0)
    inverse = sum(1 / n for n in sizes)
    of_tasks, of_runs = apart.var(ddof=1) / tasks, (of_run - rest) / tasks * inverse
    error = np.sqrt(of_tasks + of_runs)
    freedom = error**4 / (of_tasks**2 / (tasks - 1) + of_runs**2 / free)
    half = stats.t.isf(0.1, freedom) * error
    names = np.repeat([f"network {i}" for i in range(sum(sizes))], tasks)
    made = mean_over_tasks(
        TaskScores(
            np.concatenate([side.ravel() for side in sides]),
            np.tile(["a", "b", "c", "d"], sum(sizes)),
            np.repeat([True, False], np.array(sizes) * tasks),
            names,
        ),
        0.8,
    )
    assert made.estimate == pytest.approx(apart.mean())
    assert (made.low, made.high) == pytest.approx((apart.mean() - half, apart.mean() + half), 1e-3)
    assert made.p_value == pytest.approx(2 * stats.t.sf(apart.mean() / error, freedom), rel=1e-2)
    between = apart.var(ddof=1) - rest * inverse
    assert made.between_sd == pytest.approx(np.sqrt(between), rel=1e-2)
    shrunk = between / (between + rest * inverse)
    effects = apart.mean() + shrunk * (apart - apart.mean())
    assert made.effects == pytest.approx(effects, rel=1e-2)
    assert made.reason == ""
