"""Stages that train a front, or the best, of earlier stages again with fresh seeds."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trajlab.errors import TrajlabError
from trajlab.store import Column, Table, Writer
from trajlab.store.schema import standard
from trajlab.study.file import Study
from trajlab.study.fronts import chosen, reached
from trajlab.study.run import Run
from trajlab.study.selection import runs
from trajlab.study.status import outlook

Make = Callable[..., Study]
RATES = (0.1, 0.2, 0.3, 0.4, 0.5)
GRID = f"""
condition = "+same"
select = {{ metric = "accuracy" }}
stage = [
    {{ name = "tried", learning_rate = {list(RATES)}, seed = [0, 1] }},
    {{ name = "again", front = "tried", seed = [7, 8, 9] }},
    {{ name = "once more", best = "tried", seed = 7 }},
]
"""
# Both tasks' accuracy by learning rate: the second is dominated, the fifth has diverged.
ACCURACY: Mapping[float, tuple[float, float]] = {
    0.1: (90, 60),
    0.2: (80, 60),
    0.3: (80, 80),
    0.4: (60, 90),
    0.5: (99, 99),
}


def write(run: Run, loss: float = 0.1) -> None:
    """The third of four evaluations is best on validation; test is a point below."""
    run.folder.mkdir(exist_ok=True)
    tasks = list(run.plan.setting.tasks(run.plan.condition))
    writer = Writer(run.path, tasks, metadata=run.plan.metadata)
    accuracy = np.array(ACCURACY[run.plan.learning_rate])
    for split, off in (("validation", 0.0), ("test", 1.0)):
        table = standard(f"evaluations/{split}", task=tasks)
        extra = Column("accuracy", ("step", "task"), attributes={"higher_is_better": True})
        writer.declare(replace(table, columns=(*table.columns, extra)))
        for step, below in enumerate((30, 10, 0, 20)):
            diverged = run.plan.learning_rate == 0.5 and step == 3 and run.plan.seed == 1
            row = {"loss": np.full(2, np.nan if diverged else loss)}
            writer.append(
                f"evaluations/{split}",
                {"step": step, "epoch": step, **row, "accuracy": accuracy - below - off},
            )
    writer.close("complete")


def spend(run: Run, accuracy: tuple[int, ...], flops: float) -> None:
    """Both tasks have one accuracy; every step takes as many operations."""
    run.folder.mkdir(exist_ok=True)
    tasks = list(run.plan.setting.tasks(run.plan.condition))
    writer = Writer(run.path, tasks, metadata=run.plan.metadata)
    for split in ("train", "validation"):
        table = standard(f"evaluations/{split}", task=tasks)
        extra = Column("accuracy", ("step", "task"), attributes={"higher_is_better": True})
        writer.declare(replace(table, columns=(*table.columns, extra)))
        for step, value in enumerate(accuracy):
            told = {"loss": np.ones(len(tasks)), "accuracy": np.full(len(tasks), float(value))}
            writer.append(f"evaluations/{split}", {"step": step, "epoch": step, **told})
    writer.declare(Table("compute", (Column("flops"), Column("seconds"))))
    for step in range(1, len(accuracy)):
        writer.append("compute", {"step": step, "flops": flops * step, "seconds": float(step)})
    writer.close("complete")


@pytest.fixture
def tried(study: Make, tmp_path: Path) -> Study:
    made = study(GRID)
    for run in runs(made, made.stages[0]) or []:
        write(run)
    return made


def test_the_front_is_trained_again_and_what_diverged_or_is_dominated_is_not(tried: Study) -> None:
    found = runs(tried, tried.stages[1]) or []
    assert [(run.plan.seed, run.plan.learning_rate) for run in found] == [
        (seed, rate) for seed in (7, 8, 9) for rate in (0.1, 0.3, 0.4)
    ]
    assert {run.plan.condition for run in found} == {"+same"}


def test_the_best_has_the_highest_mean_over_tasks(tried: Study) -> None:
    (run,) = runs(tried, tried.stages[2]) or []
    assert (run.plan.seed, run.plan.learning_rate) == (7, 0.3)
    assert run.path in [other.path for other in runs(tried, tried.stages[1]) or []]


def test_a_run_is_read_where_validation_chooses(tried: Study) -> None:
    run = (runs(tried, tried.stages[0]) or [])[0].trajectory()
    assert run is not None
    row, scores = chosen(run, tried.selection)
    assert row == 2
    assert scores.tolist() == [90, 60]
    assert reached(run, tried.selection).tolist() == [89, 59]
    at_once = chosen(run, tried.selection, "steps", 0)[1]
    assert np.isnan(at_once).all()  # the initial point is no result
    first = chosen(run, tried.selection, "steps", 1)
    assert (first[0], first[1].tolist()) == (1, [80, 50])
    loss = replace(tried.selection, metric="loss")
    assert chosen(run, loss)[1].tolist() == [-0.1, -0.1]  # turned: more is better
    assert reached(run, loss).tolist() == [0.1, 0.1]  # as recorded


def test_before_the_choice_there_are_at_most_all_of_them(study: Make) -> None:
    made = study(GRID)
    assert runs(made, made.stages[1]) is None
    found = outlook(made)
    assert (found.wanted, found.known) == (10 + 3 * 5 + 1, False)


def test_where_all_diverged_there_is_nothing_to_train(study: Make) -> None:
    made = study(GRID.replace(str(list(RATES)), "[0.5]").replace("seed = [0, 1]", "seed = 1"))
    for run in runs(made, made.stages[0]) or []:
        write(run)
    with pytest.raises(TrajlabError, match="every run of stage 'tried' diverged"):
        runs(made, made.stages[1])


def test_runs_of_different_tasks_have_no_front(study: Make) -> None:
    made = study(
        "[select]\nmetric = 'accuracy'\n[[stage]]\nname = 'a'\ncondition = ['', '+same']\n"
        "learning_rate = 0.1\n[[stage]]\nfront = 'a'\nseed = 3\n"
    )
    for run in runs(made, made.stages[0]) or []:
        if run.plan.condition:
            write(run)
        else:
            run.train()
    with pytest.raises(TrajlabError, match="stage 'a' has runs of different tasks"):
        runs(made, made.stages[1])


@pytest.mark.parametrize(
    ("cost", "budget", "taken"),
    [
        (3.0, '"flops"', [0.1, 0.2]),  # two of its steps cost as much as three of the cheap one
        (3.1, '"flops"', [0.1, 0.3]),
        (3.1, '"whole"', [0.1, 0.2]),
        (3.1, '["whole", "flops"]', [0.1, 0.2, 0.3]),
    ],
)
def test_a_front_at_equal_compute_is_read_within_what_the_cheapest_spent(
    study: Make, cost: float, budget: str, taken: list[float]
) -> None:
    made = study(
        "[[stage]]\nname = 'cheap'\nlearning_rate = 0.1\n[[stage]]\nname = 'dear'\n"
        "learning_rate = [0.2, 0.3]\n"
        f"[[stage]]\nfront = ['cheap', 'dear']\nbudget = {budget}\nseed = 3\n"
    )
    accuracy = {0.1: (0, 70, 70, 70), 0.2: (0, 60, 80, 90), 0.3: (0, 70, 75, 89)}
    for run in [run for stage in made.stages[:2] for run in runs(made, stage) or []]:
        rate = run.plan.learning_rate
        spend(run, accuracy[rate], 2.0 if rate == 0.1 else cost)
    again = runs(made, made.stages[2]) or []
    assert [run.plan.learning_rate for run in again] == taken


def test_a_budget_that_was_not_recorded_or_means_nothing_is_told(study: Make) -> None:
    text = GRID.replace('front = "tried",', 'front = "tried", budget = "flops",')
    made = study(text)
    for run in runs(made, made.stages[0]) or []:
        write(run)
    with pytest.raises(TrajlabError, match="did not record what it spent"):
        runs(made, made.stages[1])
    with pytest.raises(TrajlabError, match="'watts' in budget of stage 'again'"):
        study(text.replace("flops", "watts"))
    with pytest.raises(TrajlabError, match=r"'budget' in stage 'once more' .* is unknown"):
        study(GRID.replace('best = "tried",', 'best = "tried", budget = "flops",'))
