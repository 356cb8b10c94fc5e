"""The tables of several runs as one frame, and as one tree."""

from pathlib import Path

import numpy as np
import pytest

from tests.runs import write
from trajlab.store import Runs, load, standard
from trajlab.store.table import AbsentError

TASKS = ["left", "right"]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    for place, name in enumerate(("a/run.h5", "b/run.h5")):
        path = tmp_path / name
        path.parent.mkdir()
        tables = ["losses", *(["hessian"] if place else [])]
        flushes = (
            {"losses": {"step": step, "loss": [step + 10 * place, 2]}}
            | ({"hessian": {"step": step, "top": [5, 6]}} if place else {})
            for step in range(3)
        )
        metadata = {"method": "uniform", "seed": place, "task": "both"}
        declared = [standard(table, task=TASKS) for table in tables]
        write(path, TASKS, declared, flushes, metadata=metadata)
    return load(tmp_path)


def test_one_row_a_run(runs: Runs) -> None:
    frame = runs.to_frame()
    assert frame["run"].tolist() == [str(run.path) for run in runs]
    assert frame["seed"].tolist() == [0, 1]
    assert frame["tasks"].tolist() == ["left, right"] * 2


def test_the_rows_of_a_table_with_the_metadata_of_their_runs(runs: Runs) -> None:
    frame = runs.to_frame("losses")
    assert frame.index.tolist() == list(range(2 * 3 * 2))  # a row is told by its number
    assert frame["run"].tolist() == [str(run.path) for run in runs for _ in range(3 * 2)]
    assert frame.columns[:4].tolist() == ["run", "method", "seed", "metadata_task"]
    for run in runs:
        own = frame[frame["run"] == str(run.path)].reset_index(drop=True)
        for name, column in run.frame("losses").items():
            np.testing.assert_array_equal(own[name], column)
        assert set(own["seed"]) == {run.metadata["seed"]}
    assert set(frame["task"]) == set(TASKS)  # the table's own column, not the metadata
    assert set(frame["metadata_task"]) == {"both"}


def test_a_run_without_the_table_is_named(runs: Runs) -> None:
    with pytest.warns(UserWarning, match=r"without the table hessian: .*a/run\.h5") as caught:
        assert runs.to_frame("hessian")["seed"].unique().tolist() == [1]
    assert caught[0].filename == __file__
    with pytest.raises(AbsentError, match="losses"):
        runs.to_frame("nothing")
    assert Runs([]).to_frame("losses").empty


def test_one_tree_in_which_runs_of_one_name_are_two(runs: Runs) -> None:
    tree = runs.to_xarray()
    for place, node in enumerate(("a/run", "b/run")):
        assert tree[node].attrs["seed"] == place
        loss = tree[f"{node}/losses"]["loss"].sel(task="left")
        assert loss.values.tolist() == [10 * place, 10 * place + 1, 10 * place + 2]
    assert "hessian" not in tree["a/run"].children
    assert tree["b/run/hessian"]["top"].shape == (3, 2)
    assert Runs([]).to_xarray().children == {}
