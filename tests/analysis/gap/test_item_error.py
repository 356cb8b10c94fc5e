"""The part of the error that comes from the test set, against a truth over both runs and items."""

import numpy as np
import pytest

from trajlab.analysis import gap
from trajlab.analysis.gap.decomposition import decompose
from trajlab.analysis.gap.matching import gap_curve, step_gap
from trajlab.analysis.runs.curve import RULES
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.item_error import item_differences, item_unit
from trajlab.store import Column, Table, Trajectory, Writer, items, standard

LOSS = 10 ** np.linspace(0, -2, 30)


def side(rng, rate, ease, runs=3, unit=100.0):
    """Runs whose items are right with a probability that the run and the item shift."""
    made = []
    for _ in range(runs):
        logit = rate + 0.03 * rng.normal() + ease
        bits = rng.random((LOSS.size, ease.size)) < 1 / (1 + np.exp(-logit))
        score = unit * bits.mean(axis=1)
        made.append(Evaluations.clean(np.arange(1, 31), LOSS, score, correct=bits))
    return made


def two_sides(rng, items=400):
    ease = rng.normal(size=items)
    of_side = 2.0 * rng.normal(size=(2, items))  # what one method finds easy and the other does not
    return side(rng, 1.0, ease + of_side[0]), side(rng, 1.0, ease + of_side[1])


@pytest.mark.parametrize("rule", list(RULES))
def test_what_is_read_of_items_adds_up_to_what_is_read_of_runs(rule):
    runs, baseline = two_sides(np.random.default_rng(0))
    curve = gap_curve(runs, baseline, rule)
    items = item_differences(runs, baseline, lambda run: RULES[rule](run).at(curve.log_loss))
    assert items.mean(axis=1) == pytest.approx(curve.gap.estimate)


def test_the_error_is_that_of_runs_and_items_together():
    runs, baseline = two_sides(np.random.default_rng(1))
    found = step_gap(runs, baseline).gap
    last = [np.array([run.score[-1] for run in group]) for group in (runs, baseline)]
    over_runs = sum(values.var(ddof=1) / 3 for values in last)
    bits = [np.mean([run.correct[-1] for run in group], axis=0) for group in (runs, baseline)]
    over_items = 100**2 * (bits[0] - bits[1]).var(ddof=1) / 400
    assert found.error[-1] == pytest.approx(np.sqrt(over_runs + over_items))


def test_intervals_over_items_hold_for_other_test_sets_and_those_over_runs_do_not():
    """Both sides have the same truth over all items that could be drawn."""
    rng = np.random.default_rng(2)
    covered = {"items": 0, "runs": 0}
    for _ in range(300):
        runs, baseline = two_sides(rng)
        bare = [[Evaluations.clean(r.step, LOSS, r.score) for r in g] for g in (runs, baseline)]
        for name, sides in (("items", (runs, baseline)), ("runs", bare)):
            terms = decompose(*sides).terms
            covered[name] += terms.low[0] <= 0 <= terms.high[0]
    assert covered["items"] / 300 > 0.93
    assert covered["runs"] / 300 < 0.8


def test_the_band_is_wider_over_items():
    runs, baseline = two_sides(np.random.default_rng(3))
    bare = [[Evaluations.clean(r.step, LOSS, r.score) for r in g] for g in (runs, baseline)]
    known = gap_curve(runs, baseline)
    alone = gap_curve(*bare)
    assert np.all(known.gap.high - known.gap.low > 0)
    assert np.mean(known.band[1] - known.band[0]) > np.mean(known.gap.high - known.gap.low)
    assert known.gap.estimate == pytest.approx(alone.gap.estimate)


@pytest.mark.parametrize(
    ("score", "unit"),
    [
        (lambda share: share, 1.0),
        (lambda share: 100 * share, 100.0),
        (lambda share: share - 1, 1.0),  # an error rate, negated as less is better
        (lambda share: 100 * share - 100, 100.0),
        (lambda share: share**2, 0.0),  # such as F1
    ],
)
def test_the_score_has_to_be_the_share_of_right_items(score, unit):
    bits = np.random.default_rng(4).random((30, 50)) < 0.7
    run = Evaluations.clean(np.arange(1, 31), LOSS, score(bits.mean(axis=1)), correct=bits)
    assert item_unit([run, run]) == unit


def test_bits_have_to_be_of_one_test_set():
    rng = np.random.default_rng(5)
    (few, *_), (many, *_) = two_sides(rng, 40), two_sides(rng, 50)
    bare = Evaluations.clean(few[0].step, LOSS, few[0].score)
    assert item_unit([few[0], few[1]]) == 100.0
    assert item_unit([few[0], many[0]]) == 0.0
    assert item_unit([few[0], bare]) == 0.0


def write(path, flags, method, seed, **metadata):
    """Write a run whose items are right as in `flags`, (step, task, item); right is not at step 1.

    The second task has two items fewer, and the training set is evaluated twice as often.
    """
    tasks = ["left", "right"]
    writer = Writer(path, tasks, metadata={"method": method, "seed": seed, **metadata})
    accuracy = Column("accuracy", ("step", "task"), attributes={"higher_is_better": True})
    train = standard("evaluations/train", task=tasks)
    test = Table(
        "evaluations/test",
        (accuracy, *items.COLUMNS),
        {"task": tasks, "item_byte": range(-(-flags.shape[2] // 8))},
        kind="evaluation",
    )
    for table in (train, test):
        writer.declare(table)
    for i, (left, right) in enumerate(flags):
        own = {"left": left} | ({} if i == 1 else {"right": right[:-2]})
        for half in (0, 1):
            loss = np.full(2, 10 ** (-(i + half / 2) / 10))
            writer.append(train.name, {"step": 2 * i + half, "loss": loss})
        scores = [own[task].mean() if task in own else np.nan for task in tasks]
        row = {"step": 2 * i, "accuracy": np.array(scores), **items.pack(own, tasks)}
        writer.append(test.name, row)
    writer.close()
    return Trajectory(path)


def test_recorded_bits_reach_the_gap(tmp_path):
    rng = np.random.default_rng(6)
    flags = rng.random((2, 3, 15, 2, 43)) < 0.7
    runs = [
        write(tmp_path / f"{method}-{seed}.h5", flags[i, seed], method, seed)
        for i, method in enumerate(("single", "uniform"))
        for seed in range(3)
    ]
    summary = gap(runs).summary.set_index("task")
    assert summary["scope"].tolist() == ["over runs and test items"] * 2
    for number, task in enumerate(("left", "right")):
        last = flags[:, :, -2:, number, : 43 - 2 * number].mean(axis=2)  # a tenth, rounded up
        over_runs = last.mean(axis=2).var(axis=1, ddof=1).sum() / 3
        apart = np.diff(last.mean(axis=1), axis=0)[0]
        error = np.sqrt(over_runs + apart.var(ddof=1) / apart.size)
        assert summary.loc[task, "delta"] == pytest.approx(apart.mean())
        assert summary.loc[task, "delta_se"] == pytest.approx(error)
    paper = gap(runs, interval="2sd").summary
    assert paper["scope"][0] == "over runs and test items; the curve over runs alone"


def test_pairs_with_bits_have_numbers_in_every_cell(tmp_path):
    flags = np.random.default_rng(7).random((2, 3, 15, 2, 43)) < 0.7
    runs = [
        write(tmp_path / f"{method}-{seed}.h5", flags[i, seed], method, seed, pair_id=str(seed))
        for i, method in enumerate(("single", "uniform"))
        for seed in range(3)
    ]
    found = gap(runs)
    assert set(found.summary["delta_seed_df"]) == {2.0}
    for table in found.tables().values():
        assert not table.map(lambda cell: isinstance(cell, np.ndarray)).any(axis=None)


def test_bits_missing_in_one_run_leave_the_test_set_out(tmp_path, make_run):
    rng = np.random.default_rng(7)
    runs = [
        write(tmp_path / f"single-{seed}.h5", rng.random((15, 2, 43)) < 0.7, "single", seed)
        for seed in range(2)
    ]
    loss = 10 ** (-np.arange(15) / 10)
    splits = {"train": {"loss": loss}, "test": {"accuracy": np.full(15, 0.7)}}
    runs += [make_run(splits, tasks=["left"], method="uniform", seed=seed) for seed in range(2)]
    assert gap(runs).summary["scope"].tolist() == ["conditional on this test set"]
