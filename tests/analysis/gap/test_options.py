"""Every number of a comparison with options unlike the defaults, read by hand from its runs.

The losses of a run fall evenly, so that its score at a loss is a line between two evaluations.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from trajlab.analysis import gap
from trajlab.analysis.gap.decomposition import closed_p, decompose
from trajlab.analysis.gap.matching import gap_curve, grid, step_gap
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.statistics.bands import simultaneous
from trajlab.analysis.statistics.difference import difference
from trajlab.analysis.statistics.mixed import mean_over_tasks
from trajlab.analysis.statistics.relative import mean_relative_change
from trajlab.analysis.statistics.task_scores import TaskScores
from trajlab.store import Trajectory

N, NUMBER, LEVEL = 30, 3, 0.8
OPTIONS = {"rule": "first_passage", "confidence": LEVEL, "number": NUMBER}


def sides(ends=((-3.0, -3.1, -3.3, -3.25), (-2.9, -3.2, -3.15, -3.4)), error=None):
    """Return runs of two sides whose losses fall from 1 to given ends, with scores of all kinds."""
    rng = np.random.default_rng(1)
    made = []
    for shift, side in enumerate(ends):
        runs = []
        for end in side:
            score, chosen = 80 + shift + rng.normal(size=N), rng.normal(size=N)
            loss = 10 ** np.linspace(0, end, N)
            runs.append(Evaluations.clean(np.arange(1, N + 1), loss, score, chosen))
        made.append([replace(run, level_error=error and np.full(N, error)) for run in runs])
    return made


def by_hand(run, at):
    """Return E*, E(L_c), the last part, the choice, and the part in the end of one run."""
    log_loss = np.log10(run.train_loss)[::-1]
    best = run.score[np.argsort(run.selection)[-NUMBER:]].mean()
    end, common = run.score[-NUMBER:].mean(), np.interp(at, log_loss, run.score[::-1])
    return [best, common, end - common, best - end, end]


def ends_of(found):
    return [found.estimate, found.low, found.high]


def welch(a, b):
    found = stats.ttest_ind(a, b, equal_var=False)
    return [np.mean(a) - np.mean(b), *found.confidence_interval(LEVEL)]


def student(values):
    return [np.mean(values), *stats.ttest_1samp(values, 0).confidence_interval(LEVEL)]


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("asked", [None, -1.7])
def test_the_terms_and_what_stands_beside_them(pairs, asked):
    groups = sides()
    found = decompose(*groups, **OPTIONS, pairs=pairs, log_loss=asked)
    assert found.common.log_loss == pytest.approx(-2.9)  # where the first baseline ends
    assert (found.common.set_by, found.common.next_lowest) == ((1, 0), pytest.approx(-3.0))
    at = -2.9 if asked is None else asked
    read = [np.array([by_hand(run, at) for run in group]).T for group in groups]
    expected = [student(a - b) if pairs else welch(a, b) for a, b in zip(*read, strict=True)]
    for place, own in enumerate(np.transpose(ends_of(found.terms))):
        assert own.tolist() == pytest.approx(expected[place])
    assert ends_of(found.over_runs) == pytest.approx(expected[0])
    p = [
        (stats.ttest_rel(a, b) if pairs else stats.ttest_ind(a, b, equal_var=False)).pvalue
        for a, b in zip(*read, strict=True)
    ]
    assert found.terms.p_value == pytest.approx(p[:4])
    assert found.closed == pytest.approx(closed_p(*p))
    matched = expected[1][0]
    assert (found.first, found.last) == pytest.approx((matched, matched))
    lowest = [[np.log10(run.train_loss[-1]) for run in group] for group in groups]
    assert ends_of(found.lowest) == pytest.approx(welch(*lowest))
    for group, own, terms in zip(groups, found.own_reach, read, strict=True):
        since = [run.step >= run.step[np.log10(run.train_loss) <= at + 1e-9][0] for run in group]
        late = [
            run.score[-NUMBER:][on[-NUMBER:]].mean() for run, on in zip(group, since, strict=True)
        ]
        assert ends_of(own) == pytest.approx(student(np.array(late) - terms[1]))
    assert found.without is None  # the next one ends a tenth of a decade below
    assert (found.selected, found.item_error, found.level_error) == (True, 0, 0)


def test_the_terms_without_the_run_that_is_alone():
    """The first baseline ends 1.1 decades above the next run; unpaired, for its pair is alone."""
    groups = sides(((-3.0, -3.1, -3.3, -3.25), (-1.9, -3.2, -3.15, -3.4)))
    found = decompose(*groups, **OPTIONS, pairs=True)
    rest = groups[0], groups[1][1:]
    read = [np.array([by_hand(run, -3.0) for run in group]).T for group in rest]
    for place, own in enumerate(np.transpose(ends_of(found.without))):
        assert own.tolist() == pytest.approx(welch(read[0][place], read[1][place]))
    assert decompose(*groups, **OPTIONS, log_loss=-1.7).without is None  # nothing sets it


def test_an_error_of_the_loss_widens_what_is_read_at_a_loss():
    """Each by its own degrees of freedom, those of an error that was told being without end."""
    plain, told = (decompose(*sides(error=error), **OPTIONS) for error in (None, 0.06))
    over_runs = plain.lowest.error**2
    total = over_runs + 2 * 0.06**2
    freedom = total**2 / (over_runs**2 / plain.lowest.freedom)
    half = stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(total)
    estimate = float(plain.lowest.estimate)
    assert ends_of(told.lowest) == pytest.approx([estimate, estimate - half, estimate + half])
    effects = []
    for before, own in zip(plain.own_reach, told.own_reach, strict=True):
        effects.append(np.sqrt(own.error**2 - before.error**2))
        freedom = own.error**4 / (before.error**4 / before.freedom)
        half = stats.t.ppf((1 + LEVEL) / 2, freedom) * own.error
        middle = float(before.estimate)
        assert ends_of(own) == pytest.approx([middle, middle - half, middle + half])
    assert told.level_error == pytest.approx(np.linalg.norm(effects))


@pytest.mark.parametrize("interval", ["t", "2sd", "bootstrap"])
@pytest.mark.parametrize("pairs", [False, True])
def test_curves_at_equal_loss_and_at_equal_steps(interval, pairs):
    rng = np.random.default_rng(2)
    groups = [  # eight a side, for a bootstrap
        [replace(run, score=run.score + rng.normal(size=N)) for run in side * 2] for side in sides()
    ]
    options = {"pairs": pairs, "seed": 3}
    for given, points in (
        ({"density": 5}, grid(-2.9, 0, 5)),
        ({"at": [-1.23, -0.4]}, np.array([-1.23, -0.4])),
    ):
        curve = gap_curve(*groups, "first_passage", interval, LEVEL, **options, **given)
        assert curve.log_loss == pytest.approx(points)
        assert (curve.low, curve.high) == (pytest.approx(-2.9), 0)
        read = [
            np.array([np.interp(points, np.log10(r.train_loss)[::-1], r.score[::-1]) for r in side])
            for side in groups
        ]
        expected = difference(*read, interval, LEVEL, **options)
        np.testing.assert_allclose(ends_of(curve.gap), ends_of(expected))
        np.testing.assert_allclose(curve.band, simultaneous(*read, LEVEL, **options))
    stepwise = step_gap(*groups, interval, LEVEL, **options)
    assert stepwise.step.tolist() == list(range(1, N + 1))
    scores = [np.array([run.score for run in side]) for side in groups]
    expected = difference(*scores, interval, LEVEL, **options)
    np.testing.assert_allclose(ends_of(stepwise.gap), ends_of(expected))


def recorded(make_run, tasks=("left",), *, pair=False):
    """Return runs of two methods with noise of their own on every task, and a validation split."""
    rng, gains = np.random.default_rng(5), np.array([1.0, 0.2, 2.0])
    runs = []
    for method, better in (("single", 0.0), ("uniform", 1.0)):
        for seed in range(3):
            falling = np.linspace(0, -3 + 0.1 * rng.normal(), 40)[:, None]
            noise = rng.normal(0, 0.3, (40, len(tasks))) + rng.normal(0, 0.2, len(tasks))
            made = {
                "train": {"loss": 10 ** falling.repeat(len(tasks), axis=1)},
                "test": {"accuracy": 80 + (better * gains[: len(tasks)] + 0.5) * -falling + noise},
                "validation": {"accuracy": 80 - falling + rng.normal(0, 0.3, (40, len(tasks)))},
            }
            given = {"pair_id": str(seed)} if pair else {}
            runs.append(make_run(made, method=method, seed=seed, tasks=list(tasks), **given))
    return runs


ENDS = [f"{name}{end}" for name in ("delta", "matched") for end in ("", "_low", "_high")]


@pytest.mark.parametrize(("x", "times"), [("loss", 10), ("step", 0.1)])
def test_each_choice_is_what_asking_for_it_gives(make_run, x, times):
    runs = recorded(make_run, pair=True)
    chosen = {"rule": "bins", "window": "ten", "confidence": LEVEL, "x": x, "onset": "first"}
    table = gap(runs, **chosen, sensitivity=True).sensitivity

    def told(runs=runs, **changed):
        return gap(runs, **{**chosen, **changed}).summary.iloc[0]

    expected = {("nothing", ""): told(), ("window", "tenth"): told(window="tenth")}
    expected |= {("rule", r): told(rule=r) for r in ("isotonic", "first_passage")}
    expected |= {
        ("left out", run.path.stem): told([other for other in runs if other is not run])
        for run in runs
    }
    rows = table.set_index(["varied", "value"])
    for way, row in expected.items():
        assert rows.loc[way, ENDS].tolist() == pytest.approx(row[ENDS].tolist()), way
        assert rows.loc[way, "common_loss"] == pytest.approx(row["common_loss"])
    common = expected["nothing", ""]["common_loss"]
    way = rows.loc[("common loss", "10 times" if times == 10 else "a tenth")]
    assert way["common_loss"] == pytest.approx(times * common)
    asked = gap(runs, **chosen, at=[times * common]).at.iloc[0]
    assert way[ENDS[3:]].tolist() == pytest.approx(asked[["gap", "low", "high"]].tolist())
    assert way[ENDS[:3]].tolist() == pytest.approx(expected["nothing", ""][ENDS[:3]].tolist())
    curve = gap(runs, **chosen).curve
    for density in (10, 20, 40):
        every = np.log10(curve["at"].iloc[[0, -1]]) * density
        places = np.arange(np.ceil(every.min() - 1e-6), np.floor(every.max() + 1e-6) + 1)
        row = rows.loc[("grid", f"{density} points a decade")]
        assert row[ENDS].tolist() == pytest.approx(expected["nothing", ""][ENDS].tolist())
        at = gap(runs, **chosen, at=(10 ** (places / density)).tolist()).at
        low_first = at.sort_values("at", ascending=x == "loss")
        alike = np.sign(low_first["gap"]) == np.sign(low_first["gap"].iloc[0])
        begun = low_first[alike.cummin() & low_first["significant"]]
        assert row["onset_loss"] == pytest.approx(begun["at"].iloc[-1])
    assert (table["metric"] == "accuracy").all()
    assert (table["x"] == x).all()
    assert (table["n_runs"] == 3).all()


def test_the_mean_over_tasks_is_that_of_the_scores_that_stand_for_the_runs(make_run):
    tasks = ("top", "left", "right")
    runs = recorded(make_run, tasks)
    table = gap(runs, window="ten", confidence=LEVEL).overall.set_index("task")
    rows = []
    for run in runs:
        for i, task in enumerate(tasks):
            score, chosen = (
                Trajectory(run.path).table(f"evaluations/{split}")["accuracy"][1:, i]
                for split in ("test", "validation")
            )
            best = score[np.argsort(-chosen)[:10]].mean()
            rows.append((best, task, run.metadata["method"] == "uniform", run.path.stem))
    scores = TaskScores(*map(np.array, zip(*rows, strict=True)))
    mean, relative = mean_over_tasks(scores, LEVEL), mean_relative_change(scores, LEVEL)
    expected = {"mean_effect": mean.estimate, "mean_effect_low": mean.low}
    expected |= {"mean_effect_high": mean.high, "mean_effect_p": mean.p_value}
    expected |= {"between_sd": mean.between_sd, "delta_m": relative.estimate}
    expected |= {"delta_m_low": relative.low, "delta_m_high": relative.high}
    for i, task in enumerate(mean.tasks):
        row = table.loc[task]
        for name, value in {**expected, "shrunken": mean.effects[i]}.items():
            assert row[name] == pytest.approx(float(value), rel=1e-4), (task, name)
        assert (row["metric"], row["n_runs"], row["reason"]) == ("accuracy", 3, mean.reason)
