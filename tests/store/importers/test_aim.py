"""What becomes of a repository of Aim, by a stand-in for the package that is seldom installed.

What the package itself makes is read in `test_packages`.
"""

import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import EllipsisType, SimpleNamespace
from typing import Any

import pytest

from trajlab.errors import TrajlabError
from trajlab.store.importers.aim import read_aim
from trajlab.store.importers.logged import Found, LoggedRun, Unreadable

NAN = math.nan


class Metric:
    """A series: rows of step, value, epoch and time."""

    def __init__(self, name: str, context: Mapping[str, Any], *rows: tuple[float, ...]) -> None:
        self.name = name
        self.context = SimpleNamespace(to_dict=lambda: dict(context))
        steps, *columns = (list(column) for column in zip(*rows, strict=True))
        self.data = SimpleNamespace(items_list=lambda: (steps, columns))


class Run:
    """What Aim gives of a run."""

    def __init__(self, key: str, told: Mapping[str, Any], *metrics: Metric) -> None:
        self.hash, self.name, self._told, self._metrics = key, f"named {key}", told, metrics

    def metrics(self) -> tuple[Metric, ...]:
        return self._metrics

    def __getitem__(self, key: EllipsisType) -> dict[str, Any]:
        return dict(self._told)


def read(
    monkeypatch: pytest.MonkeyPatch, path: Path, runs: list[Run], keys: list[str]
) -> list[Found]:
    class Repo:
        def __init__(self, home: str) -> None:
            assert home == str(path.parent if path.name == ".aim" else path)

        def iter_runs(self) -> Iterator[Run]:
            return iter(runs)

        def list_all_runs(self) -> list[str]:
            if keys == ["broken"]:
                raise RuntimeError("cannot\n open it")
            return keys

    monkeypatch.setitem(sys.modules, "aim", SimpleNamespace(Repo=Repo))
    return list(read_aim(path))


@pytest.mark.parametrize("inside", ["", ".aim"])
def test_a_series_is_called_by_its_context_and_scalars_are_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    (tmp_path / ".aim").mkdir()
    told = {
        "seed": 3,
        "rate": 0.5,
        "method": "a",
        "hparams": {"rate": 0.25, "fast": True, "list": [1]},
        "none": None,
        "nested": {"x": 1},
    }
    run = Run(
        "x",
        told,
        Metric("loss", {"subset": "train"}, (0, 4.0, 0.0, 50.0), (10, 2.0, 1.0, 53.0)),
        Metric("acc", {"subset": "val", "task": 7}, (10, 0.5, NAN, 54.0)),
        Metric("plain", {}, (5, 1.0, NAN, 52.0)),
        Metric("__system__cpu", {}, (99, 9.0, 9.0, 1.0)),
    )
    (found,) = read(monkeypatch, tmp_path / inside, [run], ["x"])
    assert isinstance(found, LoggedRun)
    assert found.name == "named x"
    assert found.metadata == {"seed": 3, "rate": 0.25, "method": "a", "fast": True}
    assert found.series == {
        "train/loss": {0: 4.0, 10: 2.0},
        "val/7/acc": {10: 0.5},
        "plain": {5: 1.0},
        "epoch": {0: 0.0, 10: 1.0},
        "wall_time": {0: 0.0, 5: 2.0, 10: 3.0},
    }


def test_a_run_that_is_not_in_the_index_does_not_block_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".aim").mkdir()
    runs = [Run("b", {"seed": 1}), Run("a", {"seed": 0})]
    lost, first, second = read(monkeypatch, tmp_path, runs, ["lost", "a", "b"])
    assert isinstance(lost, Unreadable)
    assert lost.reason.startswith(f"the run lost is not in the index of {tmp_path}, ")
    assert lost.reason.endswith(f"run aim storage --repo {tmp_path} reindex")
    assert isinstance(first, LoggedRun)
    assert isinstance(second, LoggedRun)
    assert [first.metadata, second.metadata] == [{"seed": 0}, {"seed": 1}]


def test_what_aim_cannot_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrajlabError, match=r"is no repository of Aim: it holds no folder \.aim"):
        read(monkeypatch, tmp_path, [], [])
    (tmp_path / ".aim").mkdir()
    with pytest.raises(TrajlabError, match=f"aim cannot read {tmp_path}: cannot open it"):
        read(monkeypatch, tmp_path, [], ["broken"])
    monkeypatch.setitem(sys.modules, "aim", None)
    with pytest.raises(TrajlabError, match="aim is not installed; run pip install aim"):
        list(read_aim(tmp_path))
