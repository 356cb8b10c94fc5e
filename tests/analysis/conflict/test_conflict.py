"""The tables of conflict, from recorded Gram matrices."""

import tracemalloc
from contextlib import nullcontext
from importlib import import_module

import numpy as np
import pytest

from trajlab.analysis import conflict
from trajlab.analysis.conflict.conflict import requires
from trajlab.analysis.conflict.rows import weights_in_update
from trajlab.analysis.runs.groups import ONE_TASK, group
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer, load
from trajlab.store.schema import standard
from trajlab.store.source import PORTION
from trajlab.store.view import View

rows = import_module("trajlab.analysis.conflict.rows")  # its folder has a function of that name


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def write(path, gradients, *, weights=None, layers=("a", "b"), attributes=None, **metadata):
    """Write a run whose gradients (step, task, parameter) belong half to each layer."""
    tasks = ["left", "right", "top"][: gradients.shape[1]]
    writer = Writer(path, tasks, shared=["a.weight", "b.weight"], metadata=metadata)
    writer.declare(standard("gradients", task=tasks, layer=layers))
    writer.declare(standard("losses", task=tasks))
    writer.set_attributes("gradients", {"complete": True, **(attributes or {})})
    for step, g in enumerate(gradients):
        halves = np.split(g, 2, axis=1)
        writer.append("gradients", {"step": step, "gram": np.array([h @ h.T for h in halves])})
        weight = np.ones(len(tasks)) if weights is None else weights[step]
        writer.append("losses", {"step": step, "micro_step": step, "weight": weight})
    writer.close()
    return Trajectory(path)


def test_tables_of_two_runs(tmp_path):
    gradients = np.random.default_rng(0).normal(size=(2, 5, 2, 8))
    runs = [
        write(tmp_path / f"{seed}.h5", g, method="uniform", setting="digits", seed=seed)
        for seed, g in enumerate(gradients)
    ]
    result = conflict(runs)
    expected = np.array([[cosine(*g) for g in run] for run in gradients])
    assert result.pairs["cosine"].to_numpy() == pytest.approx(expected.ravel())
    assert (result.pairs["conflicting"] == (result.pairs["cosine"] < 0)).all()
    assert result.pairs["step"].tolist() == [*range(5)] * 2
    means = expected.mean(axis=1)
    half_width = 12.706204736 * means.std(ddof=1) / np.sqrt(2)
    row = result.summary.iloc[0]
    assert row["mean_cosine"] == pytest.approx(means.mean())
    assert row["low"] == pytest.approx(means.mean() - half_width)
    assert row["high"] == pytest.approx(means.mean() + half_width)
    assert row["share_conflicting"] == pytest.approx((expected < 0).mean())
    assert row["reason"] == ""
    named = row[["setting", "condition", "method", "task_a", "task_b", "layer", "n_runs"]].tolist()
    assert named == ["digits", "", "uniform", "left", "right", "all", 2]
    assert list(result.tables()) == [
        *("pairs", "similarity", "summary", "tasks", "overall", "corrected", "across_time"),
        "examples",
    ]


def test_layers_stand_beside_the_total(tmp_path):
    gradients = np.random.default_rng(1).normal(size=(3, 2, 8))
    pairs = conflict([write(tmp_path / "0.h5", gradients)], layers=True).pairs
    for layer, columns in (("all", slice(8)), ("a", slice(4)), ("b", slice(4, 8))):
        found = pairs.loc[pairs["layer"] == layer, "cosine"].to_numpy()
        assert found == pytest.approx([cosine(*g[:, columns]) for g in gradients])


def test_the_update_has_the_recorded_weights(tmp_path):
    gradients = np.random.default_rng(2).normal(size=(3, 3, 8))
    weights = np.array([[1.0, 2.0, 0.5], [3.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    frame = conflict([write(tmp_path / "0.h5", gradients, weights=weights)]).similarity
    expected = [[cosine(row, w @ g) for row in g] for g, w in zip(gradients, weights, strict=True)]
    assert frame["cosine_to_update"].to_numpy() == pytest.approx(np.ravel(expected))


def test_zero_gradients_are_counted(tmp_path):
    gradients = np.random.default_rng(3).normal(size=(4, 2, 8))
    gradients[1, 0] = 0
    result = conflict([write(tmp_path / "0.h5", gradients)])
    row = result.summary.iloc[0]
    assert (row["n_zero"], row["n_missing"]) == (1, 0)
    assert result.pairs["cosine"].isna().tolist() == [False, True, False, False]
    assert result.pairs["reason"].tolist() == ["", "zero gradient", "", ""]
    assert row["mean_cosine"] == pytest.approx(result.pairs["cosine"].mean())
    assert np.isnan(row["low"])
    assert row["reason"] == "fewer than two runs: no interval"


def test_single_task_runs_are_passed_over(tmp_path):
    rng = np.random.default_rng(4)
    multi = write(tmp_path / "multi.h5", rng.normal(size=(3, 2, 8)), method="uniform")
    single = write(tmp_path / "single.h5", rng.normal(size=(3, 1, 8)))
    assert conflict([multi, single]).summary["method"].tolist() == ["uniform"]
    with pytest.raises(TrajlabError, match=r"gradients of two or more tasks; .*TaskGradients"):
        conflict([single])


def test_a_subset_of_layers_has_no_total(tmp_path):
    gradients = np.ones((2, 2, 8))
    run = write(tmp_path / "0.h5", gradients, attributes={"complete": False})
    with pytest.raises(TrajlabError, match="some layers only"):
        conflict([run])


def test_runs_with_other_shared_parameters_are_not_averaged(tmp_path):
    runs = [write(tmp_path / f"{seed}.h5", np.ones((2, 2, 8)), seed=seed) for seed in range(2)]
    runs[1].shared = ["a.weight"]
    with pytest.raises(TrajlabError, match="share different parameters"):
        conflict(runs)


def test_early_and_late_are_the_first_and_last_tenth(tmp_path):
    gradients = np.zeros((20, 2, 8))
    gradients[:, 0, 0] = 1
    gradients[:, 1, 0], gradients[:, 1, 1] = (
        [1] * 2 + [0] * 16 + [-1] * 2,
        [0] * 2 + [1] * 16 + [0] * 2,
    )
    result = conflict([write(tmp_path / "0.h5", gradients)])
    row = result.summary.iloc[0]
    assert (row["cosine_early"], row["cosine_late"]) == (1, -1)
    assert result.overall["directional_early"][0] == pytest.approx(0.5)
    assert result.overall["directional_late"][0] == pytest.approx(-0.5)
    task = result.tasks.iloc[0]
    assert task["excess_early"] == pytest.approx(1 - 2**-0.5)
    assert task["norm_share"] == pytest.approx(0.5)


def test_the_noise_scale_is_told_by_task_and_over_all(tmp_path):
    """Two runs: the left task is three times as noisy, and the noise grows by 1 an epoch."""
    runs = []
    for seed in range(2):
        write(tmp_path / f"{seed}.h5", np.ones((4, 2, 8)), seed=seed)
        writer = Writer(tmp_path / f"{seed}.h5", ["left", "right"], resume=True, allow_changes=True)
        writer.declare(standard("noise", task=["left", "right"]))
        for epoch in range(10):
            scale = np.array([3.0, 1.0]) * (1 + epoch + seed)
            writer.append("noise", {"step": epoch, "noise_scale": scale})
        writer.close()
        runs.append(Trajectory(tmp_path / f"{seed}.h5"))
    result = conflict(runs)
    tasks = result.tasks.set_index("task")
    assert tasks["noise_scale"].to_dict() == {"left": 18.0, "right": 6.0}
    overall = result.overall.iloc[0]
    assert overall[["noise", "noise_early", "noise_late"]].tolist() == [12.0, 3.0, 21.0]
    assert tasks.loc["left", "noise_scale_high"] == pytest.approx(18 + 12.7062 * 1.5)


def test_of_very_many_gram_matrices_evenly_spaced_ones_are_read(tmp_path, monkeypatch) -> None:
    table = standard("gradients", task=["a", "b"], layer=["l", "m"])
    writer = Writer(tmp_path / "run.h5", ["a", "b"], metadata={"setting": "s", "method": "m"})
    writer.declare(table)
    for step in range(7):
        gram = [[[1, step / 10], [step / 10, 1]], [[0, 0], [0, 0]]]
        writer.append("gradients", {"step": 5 * step, "gram": gram})
    writer.close()
    runs = load(writer.path)
    for portion in (1, 2**20):  # bytes
        monkeypatch.setattr(View.portions, "__defaults__", (portion,))
        for most, layers, steps in ((7, False, range(0, 35, 5)), (6, False, range(0, 35, 10))):
            monkeypatch.setattr(rows, "MOST", most)
            told = pytest.warns(UserWarning, match="7 matrices of gradients; one in 2 is read")
            with told if len(steps) < 7 else nullcontext():
                pairs = conflict(runs, layers=layers).pairs
            assert pairs["step"].tolist() == list(steps)
            assert np.allclose(pairs["cosine"], pairs["step"] / 50)
        monkeypatch.setattr(rows, "MOST", 7)
        with pytest.warns(UserWarning, match="one in 3 is read"):
            pairs = conflict(runs, layers=True).pairs
        assert pairs["step"].tolist() == [0, 15, 30] + [s for s in (0, 15, 30) for _ in "lm"]


def test_every_so_many_th_matrix_is_held_and_not_what_lay_between(tmp_path) -> None:
    """A gibibyte of matrices must not be in memory for a few of them."""
    tasks, layers = list("abcdefgh"), [str(n) for n in range(30)]
    writer = Writer(tmp_path / "run.h5", tasks, metadata={"setting": "s", "method": "m"})
    writer.declare(standard("gradients", task=tasks, layer=layers))
    ones = np.ones((30, 8, 8))
    for step in range(3000):
        writer.append("gradients", {"step": step, "gram": step * ones})
    writer.close()
    table = Trajectory(writer.path).table("gradients")
    tracemalloc.start()
    found = np.concatenate(list(table.thinned("gram", 100)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found[:, 0, 0, 0].tolist() == list(range(0, 3000, 100))
    assert peak < 4 * PORTION < 3000 * ones.nbytes / 1.3


def test_a_run_that_declared_gradients_and_recorded_none_has_no_conflict(tmp_path) -> None:
    writer = Writer(tmp_path / "run.h5", ["a", "b"], metadata={"setting": "s", "method": "m"})
    writer.declare(standard("gradients", task=["a", "b"], layer=["l"]))
    writer.flush()
    assert Trajectory(writer.path).gram().shape == (0, 2, 2)
    writer.close()
    assert Trajectory(writer.path).gram().shape == (0, 2, 2)
    with pytest.raises(TrajlabError, match="recorded the gradients of two or more"):
        conflict([Trajectory(writer.path)])


def test_the_last_weights_of_a_step_are_those_of_its_update(tmp_path):
    """A step of two passes, as where weights are adapted between them; one step has none known."""
    tasks = ["left", "right"]
    writer = Writer(tmp_path / "run.h5", tasks)
    writer.declare(standard("losses", task=tasks))
    for micro_step, weight in enumerate(([1.0, 2.0], [3.0, 4.0])):
        writer.append("losses", {"step": 5, "micro_step": micro_step, "weight": weight})
    writer.close()
    run = Trajectory(tmp_path / "run.h5")
    assert weights_in_update(run, np.array([5, 6]), tasks).tolist() == [[3, 4], [1, 1]]
    assert weights_in_update(run, np.array([5]), tasks[::-1]).tolist() == [[4, 3]]


def test_one_run_of_a_group_that_recorded_gradients_is_enough(tmp_path):
    gradients = np.random.default_rng(0).normal(size=(3, 2, 8))
    writer = Writer(tmp_path / "without.h5", ["left", "right"], metadata={"seed": 1})
    writer.declare(standard("losses", task=["left", "right"]))
    writer.close()
    without = Trajectory(tmp_path / "without.h5")
    both = group([write(tmp_path / "with.h5", gradients, seed=0), without])
    assert [len(each.runs) for each in both] == [2]
    assert requires(both, None) == ""
    assert "recorded the gradients" in requires(group([without]), None)


def test_gradients_of_one_task_are_no_conflict_of_several(tmp_path):
    """A run of one task may record its gradient, which has no other to make an angle with."""
    writer = Writer(tmp_path / "without.h5", ["left", "right"])
    writer.declare(standard("losses", task=["left", "right"]))
    writer.close()
    alone = write(tmp_path / "alone.h5", np.ones((3, 1, 8)))
    assert requires(group([alone]), None) == ONE_TASK
    groups = group([alone, Trajectory(tmp_path / "without.h5")])
    assert len(groups) == 2
    assert "recorded the gradients" in requires(groups, None)
    with pytest.raises(TrajlabError, match="recorded the gradients of two or more"):
        conflict([alone])
