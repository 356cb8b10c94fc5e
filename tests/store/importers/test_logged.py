"""What a run is called that a logger kept."""

from pathlib import Path

import pytest

from trajlab.store import Trajectory
from trajlab.store.importers.logged import LoggedRun, called
from trajlab.store.importers.series import import_series


@pytest.mark.parametrize(
    ("given", "own", "name"),
    [
        ("logs", "logs/a/b", "a/b"),
        (".", "a/b", "a/b"),
        ("logs", "logs", "logs"),
        (".", ".", "here"),
        ("metrics.csv", ".", "here"),
        ("..", "..", "above"),
        ("../metrics.csv", "..", "above"),
        ("logs/run/metrics.csv", "logs/run", "run"),
    ],
)
def test_a_run_is_called_by_its_path_below_what_was_given_or_by_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, own: str, name: str
) -> None:
    here = tmp_path / "above" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert called(Path(given), Path(own)) == name


@pytest.mark.parametrize(("given", "name"), [(".", "here"), ("..", "above")])
def test_what_is_imported_of_the_folder_one_stands_in_is_told_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, name: str
) -> None:
    here = tmp_path / "above" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)

    def read(path: Path) -> list[LoggedRun]:
        return [LoggedRun(called(path, path), {}, {"test/a/accuracy": {1: 0.5, 2: 0.75}})]

    (file,) = import_series(given, read, tmp_path / "out")
    assert file.name == f"{name}.h5"
    assert Trajectory(file).provenance == {"imported_from": name}
