"""Which runs two sides have, which of them belong together, and how they differ at the end."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from tests.analysis.runs.held import Held, run
from trajlab.analysis.interface.axis import TRAINING_LOSS, Axis
from trajlab.analysis.runs.evaluations import Evaluations
from trajlab.analysis.runs.final import final_difference
from trajlab.analysis.runs.groups import Group
from trajlab.analysis.runs.sides import Side
from trajlab.store import Column


def side(*pair_ids, runs=None):
    made = [Evaluations.clean([1], [1.0], [float(i)]) for i in range(runs or len(pair_ids))]
    return Side(tuple(made), pair_ids=pair_ids, names=tuple(f"run {p}" for p in pair_ids))


@pytest.mark.parametrize(
    ("one", "other", "paired"),
    [
        (side("1", "2"), side("2", "1"), True),
        (side("1"), side("1"), False),  # a pair has no spread
        (side("1", "2"), side("1", "3"), False),
        (side("1", "2"), side("1", "2", "3"), False),
        (side("1", "2", "2"), side("1", "2", "1"), False),
        (side("1", "2", "2"), side("1", "2"), False),
        (side("", "1"), side("", "1"), False),
    ],
)
def test_every_run_has_exactly_one_partner(one, other, paired):
    assert one.paired_with(other) == paired
    assert other.paired_with(one) == paired


def test_runs_stand_in_the_order_of_their_pairs():
    ordered = side("2", "3", "1").by_pair()
    assert ordered.pair_ids == ("1", "2", "3")
    assert ordered.names == ("run 1", "run 2", "run 3")
    assert np.concatenate([run.score for run in ordered.runs]).tolist() == [2, 0, 1]


def recording(name, pair_id, losses, scores, *others):
    """Return a run of two tasks; of the second these losses and scores, at steps 0, 2, 4, …"""
    losses, scores = (np.column_stack([np.ones(len(v)), v]) for v in (losses, scores))
    step = 2 * np.arange(len(losses))
    train = Held("evaluations/train", step, [(Column("loss", ("step", "task")), losses)])
    less = Column("error", ("step", "task"), attributes={"higher_is_better": False})
    test = Held("evaluations/test", step, [(less, scores)])
    validation = Held("evaluations/validation", step, [(less, 10 * scores)])
    steep = Held("sharpness", step, [(Column("steep", ("step", "task")), -scores)])
    return run(train, test, validation, steep, *others, name=name, pair_id=pair_id)


def test_a_side_counts_what_it_leaves_out_and_names_what_it_uses():
    nan, inf = np.nan, np.inf
    broken = recording("broken", 1, [9.0, 1, 0, inf], [9.0, 1, 5, nan])
    nothing = recording("nothing", 2, [9.0, 1], [9.0, nan])
    odd = recording("odd", 3, [9.0, 1, 0, -1, nan, 0.5], [9.0, 1, 2, 3, 4, nan])
    late = Held(
        "evaluations/test", [2, 3, 4], [(Column("error", ("step", "task")), np.ones((3, 2)))]
    )
    between = recording("between", 4, [9.0, 1, 0.9], [9.0, 1, 2])
    between = run(between.table("evaluations/train"), late, name="between", pair_id=4)
    unevaluated = run(Held("evaluations/test", [2], []), name="unevaluated", pair_id=5)
    untested = run(between.table("evaluations/train"), name="untested", pair_id=6)
    runs = broken, nothing, unevaluated, odd, untested, between
    options = SimpleNamespace(split="test", selection_split="validation", axis=TRAINING_LOSS)
    made = Side.of(Group({}, runs, runs[:2]), "right", "error", options)
    assert (made.names, made.pair_ids) == (("odd", "between"), ("3", "4"))
    assert [each.step.tolist() for each in made.runs] == [[2, 4, 6, 8], [2, 3, 4]]
    assert [each.score.tolist() for each in made.runs] == [[-1, -2, -3, -4], [1, 1, 1]]
    assert made.runs[0].selection.tolist() == [-10, -20, -30, -40]
    assert np.isnan(made.runs[1].selection).all()
    np.testing.assert_array_equal(made.runs[0].train_loss, [1, nan, nan, nan])
    assert made.left_out == {
        "incomplete": 2,
        "diverged": 1,
        "excluded": 3,  # of all runs
        "unevaluated": 2,
        "unplaced": 3,  # of those that are used
        "no_logarithm": 2,
        "between": 1,
    }
    assert made.counts("_x") == {
        f"n_{name}_x": number for name, number in made.left_out.items() if name != "between"
    }
    # a quantity has no direction, and no split
    steep = Side.of(Group({}, (broken, odd, unevaluated)), "right", "sharpness/steep", options)
    assert (steep.names, steep.pair_ids) == (("odd",), ("3",))
    assert steep.runs[0].score.tolist() == [-1, -2, -3, -4]
    np.testing.assert_array_equal(steep.runs[0].train_loss, [1, nan, nan, nan])
    assert (steep.left_out["diverged"], steep.left_out["excluded"]) == (1, 2)
    assert not steep.left_out["unevaluated"]
    at_steps = SimpleNamespace(split="test", selection_split="validation", axis=Axis("step"))
    for metric in ("error", "sharpness/steep"):
        made = Side.of(Group({}, (odd, unevaluated)), "right", metric, at_steps)
        assert made.runs[0].train_loss.tolist() == [1 / 2, 1 / 4, 1 / 6, 1 / 8]
    assert Side.of(None, "right", "error", options).runs == ()
    assert not Side.of(Group({}, runs), "top", "error", options).runs


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("number", [None, 2])
def test_the_difference_at_the_end_is_of_what_is_chosen_and_of_pairs(paired, number):
    """Of a tenth, one evaluation; the baseline is evaluated twice as often, where it is read."""
    rng = np.random.default_rng(4)
    sides = []
    for every, pair_ids in ((10, ("b", "a", "c")), (5, ("c", "b", "a" if paired else "d"))):
        step = np.arange(every, 101, every)
        score, chosen = rng.normal(size=(2, 3, step.size))
        runs = [
            Evaluations.clean(step, step / 1.0, *each) for each in zip(score, chosen, strict=True)
        ]
        sides.append(Side(tuple(runs), pair_ids=pair_ids, names=pair_ids))
    scores = []
    for side, every in zip(sides, (1, 2 if number is None else 1), strict=True):
        own = {}
        for pair_id, each in zip(side.pair_ids, side.runs, strict=True):
            score, chosen = (values[every - 1 :: every] for values in (each.score, each.selection))
            own[pair_id] = score[np.argsort(-chosen)[: number or 1]].mean()
        scores.append([own[pair_id] for pair_id in sorted(own)])
    test = stats.ttest_rel(*scores) if paired else stats.ttest_ind(*scores, equal_var=False)
    made = final_difference(*sides, number, 0.8)
    interval = test.confidence_interval(0.8)
    assert made.estimate == pytest.approx(np.mean(scores[0]) - np.mean(scores[1]))
    assert (made.low, made.high) == pytest.approx((interval.low, interval.high))
    # without a choice on one run, of whichever side, all are read at the end
    for place in (0, 1):
        some = list(sides)
        own = list(some[place].runs)
        own[1] = replace(own[1], selection=np.full(own[1].step.size, np.nan))
        some[place] = replace(some[place], runs=tuple(own))
        ends = [np.mean([each.score[-(number or 1) :] for each in side.runs]) for side in some]
        made = final_difference(*some, number)
        assert made.estimate == pytest.approx(ends[0] - ends[1])


def test_the_error_at_the_end_holds_that_of_another_test_set():
    """Of the seeds and of the items: their variances add, as they are drawn apart."""
    rng = np.random.default_rng(5)
    sides, shares, scores = [], [], []
    for n in (3, 2):
        bits = rng.random((n, 2, 40)) < 0.6  # each run twice evaluated on the same 40 items
        runs = [
            Evaluations.clean([1, 2], [1.0, 0.5], own.mean(axis=1), correct=own) for own in bits
        ]
        sides.append(Side(tuple(runs), pair_ids=("",) * n))
        scores.append(bits[:, -1].mean(axis=1))
        shares.append(bits[:, -1].mean(axis=0))
    seeds = sum(own.var(ddof=1) / len(own) for own in scores)
    items = (shares[0] - shares[1]).var(ddof=1) / 40
    made = final_difference(*sides, 1)
    assert made.estimate == pytest.approx(scores[0].mean() - scores[1].mean())
    assert made.error == pytest.approx(np.sqrt(seeds + items))
