"""Which value of a hyper-parameter a study chooses, from runs whose scores are made up."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from trajlab.errors import TrajlabError
from trajlab.store import Column, Writer
from trajlab.store.schema import standard
from trajlab.study.file import Selection, Study
from trajlab.study.run import Run
from trajlab.study.selection import runs, score

Make = Callable[..., Study]
ACCURACY = Selection(None, "accuracy", "validation")


def record(run: Run, accuracy: Sequence[Any], loss: Sequence[Any] = (), *, first: int = 1) -> None:
    """Record evaluations on validation, each a number for all tasks or one a task."""
    run.folder.mkdir(exist_ok=True)
    tasks = list(run.plan.setting.tasks(run.plan.condition))
    writer = Writer(run.path, tasks, metadata=run.plan.metadata)
    table = standard("evaluations/validation", task=tasks)
    extra = Column("accuracy", ("step", "task"), attributes={"higher_is_better": True})
    writer.declare(replace(table, columns=(*table.columns, extra)))
    rows = zip(accuracy, loss or [1.0] * len(accuracy), strict=True)
    for step, (own, nats) in enumerate(rows, first):
        values = {"loss": nats, "accuracy": own}
        row = {
            name: np.broadcast_to(np.asarray(v, float), len(tasks)) for name, v in values.items()
        }
        writer.append("evaluations/validation", {"step": step, **row})
    writer.close("complete")


def recorded(study: Study, stage: int, scores: Mapping[Any, float], *keys: str) -> None:
    """Record the runs of a stage: the score of each by its values of `keys`."""
    for run in runs(study, study.stages[stage]) or []:
        own = tuple(run.configuration[key] for key in keys)
        record(run, [scores[own if len(keys) > 1 else own[0]]])


def test_a_score_is_the_best_evaluation_of_the_metric_in_its_direction(study: Make) -> None:
    made = study("condition = '+same'\n")
    (run,) = runs(made, made.stages[0]) or []
    accuracy = [[50, 10], [90, 20], [np.nan, np.nan], [60, 80], [70, 60]]
    record(run, accuracy, [[3, 4], [1, 9], [2, 3], [1, 2.5], [9, 9]])
    found = run.trajectory()
    assert found is not None
    for selection, value in (
        (ACCURACY, 70),
        (replace(ACCURACY, task="first"), 90),
        (replace(ACCURACY, task="second"), 80),
        (replace(ACCURACY, metric="loss"), -1.75),  # turned: more is better
        (replace(ACCURACY, metric="loss", task="first"), -1),
    ):
        assert score(found, selection) == value


def test_an_evaluation_before_the_first_step_is_no_score(study: Make) -> None:
    for number, (accuracy, best) in enumerate((([90, 50, 60], 60), ([90], np.nan))):
        made = study("condition = '+same'\n", runs=f"runs-{number}")
        (run,) = runs(made, made.stages[0]) or []
        record(run, accuracy, first=0)
        found = run.trajectory()
        assert found is not None
        assert score(found, ACCURACY) == pytest.approx(best, nan_ok=True)


@pytest.mark.parametrize(
    ("last", "task", "diverged"),
    [
        ([1, np.inf], None, True),
        ([np.nan, 1], None, True),
        ([1, np.inf], "first", False),  # the other task does not count
        ([1, np.inf], "second", True),
        ([1, 1], None, False),
    ],
)
def test_a_run_that_ends_without_a_finite_loss_has_no_score(
    study: Make, last: list[float], task: str | None, diverged: bool
) -> None:
    made = study("condition = '+same'\n")
    (run,) = runs(made, made.stages[0]) or []
    record(run, [80, 70], [[np.inf, np.inf], last])
    found = run.trajectory()
    assert found is not None
    reached = score(found, replace(ACCURACY, task=task))
    assert np.isnan(reached) if diverged else reached == 80


GRID = """
condition = ["", "+same"]
[[stage]]
name = "tried"
learning_rate = [0.1, 0.2, 0.3]
weight_decay = [0, 0.01, 0.1]
seed = [0, 1]
[[stage]]
name = "own"
seed = 7
"""
RULES = 'learning_rate = { best = "tried", per = ["condition"] }\n'


def test_each_value_is_chosen_by_its_own_rule(study: Make) -> None:
    """Of two hyper-parameters, of one a condition, of one where another is fixed, and times two."""
    made = study(
        GRID
        + 'learning_rate = { best = "tried", per = ["condition"], times = 2 }\n'
        + 'weight_decay = { best = "tried", where = { learning_rate = 0.1 } }\n'
    )
    scores = {
        (condition, rate, decay): 10 * (rate == best)
        + 1 * (decay == 0.01)
        # a decay that is best of all, but not at the rate of 0.1
        + 50 * (decay == 0.1 and rate == 0.2)
        for condition, best in (("", 0.2), ("+same", 0.2))
        for rate in (0.1, 0.2, 0.3)
        for decay in (0.0, 0.01, 0.1)
    }
    scores |= {
        ("+same", rate, d): 99.0 * (rate == 0.3) + (d == 0.01)
        for rate in (0.1, 0.2, 0.3)
        for d in (0.0, 0.01, 0.1)
    }
    recorded(made, 0, scores, "condition", "learning_rate", "weight_decay")
    with pytest.warns(UserWarning, match=r"learning_rate of stage 'tried', 0\.3, is at the edge"):
        found = runs(made, made.stages[1]) or []
    assert [
        (run.plan.condition, run.plan.learning_rate, run.plan.weight_decay) for run in found
    ] == [("", 0.4, 0.01), ("+same", 0.6, 0.01)]


@pytest.mark.parametrize(
    ("scores", "best", "warned"),
    [
        ((1, 3, 2), 0.2, False),
        ((3, 1, 2), 0.1, True),
        ((1, 2, 3), 0.3, True),
        ((2, 2, 1), 0.1, True),  # the first of equals
        ((np.nan, 1, 2), 0.3, True),  # a seed of the first diverged
    ],
)
def test_the_highest_mean_wins_and_is_warned_of_at_either_edge(
    study: Make, scores: tuple[float, ...], best: float, warned: bool
) -> None:
    """Over two seeds that differ: the best run, or the first seed, would choose otherwise."""
    made = study(
        'condition = "+same"\n'
        + GRID.replace('condition = ["", "+same"]\n', "").replace(
            "weight_decay = [0, 0.01, 0.1]\n", ""
        )
        + RULES
    )
    for run in runs(made, made.stages[0]) or []:
        own = scores[[0.1, 0.2, 0.3].index(run.plan.learning_rate)]
        spread = {0.1: 40, 0.2: -10, 0.3: 20}[run.plan.learning_rate]
        own += spread if run.plan.seed else -spread
        loss = np.nan if np.isnan(own) and run.plan.seed else 1.0
        record(run, [60.0 if np.isnan(own) else own], [loss])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        (run,) = runs(made, made.stages[1]) or []
    assert run.plan.learning_rate == best
    assert [f"{best:g}, is at the edge" in str(each.message) for each in seen] == [True] * warned


def test_one_value_alone_has_no_edge_and_one_that_failed_is_not_chosen(study: Make) -> None:
    made = study(
        '[[stage]]\nname = "a"\nlearning_rate = 0.3\n'
        '[[stage]]\nname = "b"\nlearning_rate = { best = "a" }\nepochs = 5\n'
    )
    (run,) = runs(made, made.stages[0]) or []
    record(run, [50])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (chosen,) = runs(made, made.stages[1]) or []
    assert (chosen.plan.learning_rate, chosen.plan.epochs) == (0.3, 5)
    run.path.unlink()
    run.fail("out of numbers")
    with pytest.raises(TrajlabError, match="no learning_rate of stage 'a' can be chosen for all"):
        runs(made, made.stages[1])


@pytest.mark.parametrize("way", ["best", "front"])
def test_a_configuration_one_of_whose_seeds_failed_is_not_trained_again(
    study: Make, way: str
) -> None:
    made = study(
        'condition = "+same"\n[[stage]]\nname = "a"\nlearning_rate = [0.1, 0.2]\nseed = [0, 1]\n'
        f'[[stage]]\n{way} = "a"\nseed = 7\n'
    )
    tried = runs(made, made.stages[0]) or []
    for run in tried:
        better = run.plan.learning_rate == 0.2
        if better and run.plan.seed:
            run.fail("out of numbers")
        else:
            record(run, [90 if better else 50])
    (again,) = runs(made, made.stages[1]) or []
    assert (again.plan.learning_rate, again.plan.seed) == (0.1, 7)
