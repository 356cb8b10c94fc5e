"""What becomes of a store of MLflow, by a stand-in for the package that is seldom installed.

What the package itself makes is read in `test_packages`.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trajlab.errors import TrajlabError
from trajlab.store.importers.logged import Found, LoggedRun, Unreadable
from trajlab.store.importers.mlflow import read_mlflow

History = Mapping[str, Sequence[tuple[int, float, int]]]  # step, value and milliseconds


class StoreError(Exception):
    """What MLflow raises."""


class Page(list[Any]):
    """Runs, and by what the next ones are asked for."""

    token: str | None = None


def run(key: str, name: str, experiment: str, history: History) -> Any:
    info = SimpleNamespace(run_id=key, run_name=name, experiment_id=experiment)
    data = SimpleNamespace(metrics=dict.fromkeys(history, 0.0), params={"seed": key})
    return SimpleNamespace(info=info, data=data, history=history)


def read(monkeypatch: pytest.MonkeyPatch, path: Path, runs: list[Any]) -> list[Found]:
    """Read a store of runs, of which MLflow gives two at a time."""

    class Client:
        def __init__(self, uri: str) -> None:
            self.asked: list[str | None] = []
            if uri.endswith("torn.db"):
                raise StoreError("no such\n  table")

        def search_experiments(self) -> list[Any]:
            return [SimpleNamespace(experiment_id=e, name=f"exp {e}") for e in ("0", "1")]

        def search_runs(self, experiments: list[str], page_token: str | None = None) -> Page:
            assert experiments == ["0", "1"]
            assert page_token not in self.asked
            self.asked.append(page_token)
            first = int(page_token or 0)
            page = Page(runs[first : first + 2])
            page.token = str(first + 2) if first + 2 < len(runs) else None
            return page

        def get_metric_history(self, run_id: str, key: str) -> list[Any]:
            (own,) = (own for own in runs if own.info.run_id == run_id)
            rows = own.history[key]
            return [SimpleNamespace(step=s, value=v, timestamp=t) for s, v, t in rows]

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=Client))
    exceptions = SimpleNamespace(MlflowException=StoreError)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", exceptions)
    return list(read_mlflow(path))


def logged(found: list[Found]) -> list[LoggedRun]:
    assert all(isinstance(own, LoggedRun) for own in found)
    return [own for own in found if isinstance(own, LoggedRun)]


def test_all_pages_of_runs_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"SQLite")
    runs = [run(f"r{i}", f"named {i}" if i else "", "0", {}) for i in range(5)]
    for count in (0, 1, 2, 5):
        found = logged(read(monkeypatch, tmp_path, runs[:count]))
        names = ["r0", "named 1", "named 2", "named 3", "named 4"]  # one without a name by its key
        assert [own.name for own in found] == names[:count]
        assert [own.metadata for own in found] == [{"seed": f"r{i}"} for i in range(count)]


def test_series_have_their_histories_and_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"SQLite")
    history = {"loss": [(0, 4.0, 5000), (10, 2.0, 7500)], "acc": [(10, 0.5, 8000)]}
    runs = [run("a", "own", "0", history), run("b", "own", "1", {"loss": [(3, 1.0, 100)]})]
    first, second = logged(read(monkeypatch, tmp_path / "mlflow.db", runs))
    assert (first.name, second.name) == ("exp 0/own", "exp 1/own")
    assert first.series == {
        "loss": {0: 4.0, 10: 2.0},
        "acc": {10: 0.5},
        "wall_time": {0: 0.0, 10: 2.5},
    }
    assert second.series == {"loss": {3: 1.0}, "wall_time": {3: 0.0}}


def test_a_store_that_is_torn_does_not_block_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("torn.db", "z.db"):
        (tmp_path / place).write_bytes(b"SQLite")
    (tmp_path / "b" / "0" / "key" / "params").mkdir(parents=True)
    (tmp_path / "b" / "0" / "key" / "meta.yaml").touch()
    (tmp_path / "b" / "0" / "meta.yaml").touch()  # of an experiment
    found = read(monkeypatch, tmp_path, [run("a", "own", "0", {})])
    kinds = [type(own) for own in found]  # of b, torn.db and z.db
    assert kinds == [LoggedRun, Unreadable, LoggedRun]
    assert isinstance(found[1], Unreadable)
    assert found[1].reason == f"mlflow cannot read {tmp_path / 'torn.db'}: no such table"
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(TrajlabError, match="mlflow is not installed; run pip install mlflow"):
        read_mlflow(tmp_path)
