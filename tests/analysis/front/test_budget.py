"""Fronts at equal steps, operations and seconds."""

from types import SimpleNamespace

import numpy as np
import pytest

from trajlab.analysis import front
from trajlab.analysis.front.budget import affordable, spent
from trajlab.errors import TrajlabError
from trajlab.store import Column, Table, Trajectory, Writer
from trajlab.store.schema import standard

TASKS = ["left", "right"]


def write(path, method, steps, flops, *, weight=0, seed=0, compute=True, last=1.0):
    """A run whose accuracy is its step, on every split."""
    writer = Writer(
        path, TASKS, metadata={"setting": "s", "method": method, "seed": seed, "w": weight}
    )
    for split in ("train", "validation", "test"):
        plain = standard(f"evaluations/{split}", task=TASKS)
        score = Column("accuracy", ("step", "task"), attributes={"higher_is_better": True})
        table = Table(plain.name, (*plain.columns, score), plain.coordinates, kind=plain.kind)
        writer.declare(table)
        for step in steps:
            loss = last if step == steps[-1] else 1.0
            values = [step + weight, step - weight]
            writer.append(table.name, {"step": step, "loss": [loss] * 2, "accuracy": values})
    if compute:
        writer.declare(Table("compute", (Column("flops"), Column("seconds", units="s"))))
        for step in steps[1::2]:  # rarer than evaluations: between them in proportion
            writer.append("compute", {"step": step, "flops": flops * step, "seconds": 2.0 * step})
    writer.close()
    return Trajectory(path)


@pytest.fixture
def runs(tmp_path):
    """The second method spends four times the operations a step, and has half of the steps."""
    steps = list(range(0, 101, 5))
    made = []
    for weight, seed in ((0, 0), (1, 0)):
        name = f"{weight}-{seed}"
        made.append(
            write(tmp_path / f"a{name}.h5", "scalarization", steps, 1.0, weight=weight, seed=seed)
        )
        made.append(
            write(tmp_path / f"b{name}.h5", "mgda", steps[:11], 4.0, weight=weight, seed=seed)
        )
    return made


@pytest.mark.parametrize(
    ("budget", "distance"),
    # of whole trainings 50 against 100 steps, of equal steps or seconds 50 each; of 100 operations
    # 25 steps against 100. Of each run the best of few evaluations is reported.
    [("whole", -50), ("steps", 0), ("seconds", 0), ("flops", -75)],
)
def test_no_run_is_read_beyond_what_the_cheapest_spent(runs, budget, distance):
    found = front(runs, budget=budget, group_by=["w"])
    assert found.distance["signed_distance"].item() == pytest.approx(distance, abs=3)
    assert found.settings["budget"] == budget


def test_equal_operations_are_those_of_the_cheapest_run(runs, tmp_path):
    found = front(runs, budget="flops", group_by=["w"])
    # scalarization spent 100 in all, and so 25 steps of the other
    points = found.points.set_index(["method", "configuration"])
    assert points.loc[("mgda", "w=0"), "left"] == 25
    assert found.training.set_index(["method", "configuration"]).loc[("mgda", "w=0"), "left"] == 25


def test_a_diverged_run_does_not_make_the_budget(runs, tmp_path):
    short = write(tmp_path / "short.h5", "mgda", [0, 5, 10, 15], 4.0, weight=2, last=np.inf)
    with_it, without = (
        front(some, budget="steps", group_by=["w"]).distance["signed_distance"].item()
        for some in ([*runs, short], runs)
    )
    assert with_it == without


def test_what_was_spent_is_in_proportion_between_and_after_what_was_recorded():
    table = {"step": np.array([10, 20]), "flops": np.array([100.0, 300.0])}
    run = SimpleNamespace(tables=["compute"], table=lambda name: table, path="run.h5")
    steps = np.array([0, 5, 15, 20, 30])
    assert spent(run, steps, "flops").tolist() == [0, 50, 200, 300, 450]
    assert spent(run, steps, "steps").tolist() == steps.tolist()
    for most, count in ((200.0, 3), (200 * (1 - 1e-12), 3), (199.9, 2)):  # but for rounding
        assert affordable(run, steps, "flops", most).sum() == count
    assert affordable(run, steps, "whole", 1.0).all()


def test_what_cannot_be_equal_is_one_sentence(runs, tmp_path):
    steps = list(range(0, 101, 10))
    silent = write(tmp_path / "silent.h5", "mgda", steps, 1.0, weight=3, compute=False)
    with pytest.raises(TrajlabError, match=r"silent\.h5 did not record what it spent"):
        front([*runs, silent], budget="flops", group_by=["w"])
    assert len(front([*runs, silent], budget="steps", group_by=["w"]).points) == 5
    with pytest.raises(TrajlabError, match="a table does not tell what its runs had spent"):
        front(table="t.csv", objective={"a": "max"}, budget="flops")
