"""Logs that the packages themselves made: imported, they are what was logged.

Packages that are not installed have a log beside `packages/make.py`; with
``make logs-check`` they make one anew.
"""

import shutil
import sqlite3
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.store.importers.packages import loggers, make
from trajlab.errors import TrajlabError
from trajlab.store import load
from trajlab.store.importers.aim import read_aim
from trajlab.store.importers.comet import read_comet
from trajlab.store.importers.logged import Reader
from trajlab.store.importers.mlflow import read_mlflow
from trajlab.store.importers.series import import_series
from trajlab.store.importers.tensorboard import read_tensorboard
from trajlab.store.importers.trackio import read_trackio
from trajlab.store.importers.wandb import read_wandb

MAP = {"train/left/loss": "loss_left", "test/left/accuracy": "acc_left"}
PLACES = {"loss_left": ("train", "loss"), "acc_left": ("test", "accuracy")}

# what makes the log, the package that does, and what reads it
PACKAGES: dict[str, tuple[str, Reader]] = {
    "tensorboard": ("tensorboard", read_tensorboard),
    "tensorboardx": ("tensorboardX", read_tensorboard),
    "wandb": ("wandb", read_wandb),
    "mlflow": ("mlflow", read_mlflow),
    "mlflow_files": ("mlflow", read_mlflow),
    "aim": ("aim", read_aim),
    "trackio": ("trackio", read_trackio),
    "comet": ("comet_ml", read_comet),
}
READS_ITSELF = {"mlflow": "mlflow", "mlflow_files": "mlflow", "aim": "aim"}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def package(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(name, reason=f"{name} is not installed; make logs-check installs it")


def imported_as_logged(name: str, log: Path, out: Path) -> None:
    before = files_in(log)
    import_series(log, PACKAGES[name][1], out, map=MAP, lower_is_better=["accuracy"])
    runs = {run.metadata["method"]: run for run in load(out)}
    assert len(runs) == len(loggers.RUNS)
    for run, config in loggers.RUNS.items():
        found = runs[config["method"]]
        assert found.metadata == config
        for series, (split, metric) in PLACES.items():
            table = found.table(f"evaluations/{split}")
            numbers = dict(zip(table["step"].tolist(), table[metric][:, 0].tolist(), strict=True))
            assert numbers == loggers.logged(run)[series]
            times = table["wall_time"].tolist()
            assert times == sorted(times)
            assert 0 <= times[0] <= times[-1] < 600
    assert files_in(log) == before


def files_in(log: Path) -> set[Path]:
    """Nothing is made beside a log that is read."""
    return {p for p in log.rglob("*") if p.name not in (".trash",) and "LOCK" not in p.name}


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_log_that_the_package_makes(tmp_path, monkeypatch, name):
    package(PACKAGES[name][0])
    monkeypatch.setenv("WANDB_SILENT", "true")
    log = getattr(loggers, name)(tmp_path / "log")
    imported_as_logged(name, log, tmp_path / "out")


@pytest.mark.parametrize("name", make.KEPT)
def test_a_log_that_a_package_makes_where_it_is_installed(tmp_path, monkeypatch, name):
    package(PACKAGES[name][0])
    command = [sys.executable, loggers.__file__, name, tmp_path / "log"]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    monkeypatch.chdir(tmp_path)
    imported_as_logged(name, tmp_path / "log", tmp_path / "out")


@pytest.mark.parametrize("name", make.KEPT)
def test_a_log_that_the_package_made(tmp_path, monkeypatch, name):
    if name in READS_ITSELF:
        package(READS_ITSELF[name])
    monkeypatch.chdir(tmp_path)
    archive = Path(make.__file__).with_name(f"{name}.tar.xz")
    shutil.unpack_archive(archive, tmp_path / "log", filter="data")
    imported_as_logged(name, tmp_path / "log", tmp_path / "out")


def test_event_files_read_one_by_one(tmp_path):
    """Against TensorBoard's reader of single files, below the one that the importer uses."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    log = loggers.tensorboard(tmp_path / "log")
    read: set[tuple[str, int, float]] = set()
    for file in log.rglob("*tfevents*"):
        for event in LegacyEventFileLoader(str(file)).Load():
            read |= {(v.tag, event.step, v.simple_value) for v in event.summary.value}
    (single,) = (run for run in read_tensorboard(log) if run.metadata.get("method") == "single")
    for name in PLACES:
        assert {(name, *item) for item in single.series[name].items()} <= read


def test_a_run_of_wandb_that_did_not_end_is_told(tmp_path):
    package("wandb")
    shutil.unpack_archive(Path(make.__file__).with_name("wandb.tar.xz"), tmp_path, filter="data")
    (file,) = tmp_path.rglob("run-uniform-1.wandb")
    assert list(next(iter(read_wandb(file))).notes) == []
    file.write_bytes(file.read_bytes()[:-100])
    (run,) = read_wandb(file)
    assert "did not end" in run.notes[0]
    assert list(run.series["loss_left"]) == [0, 10]


def test_mlflows_data_base_read_by_sqlite(tmp_path, monkeypatch):
    package("mlflow")
    monkeypatch.chdir(tmp_path)
    shutil.unpack_archive(Path(make.__file__).with_name("mlflow.tar.xz"), tmp_path, filter="data")
    base = sqlite3.connect(tmp_path / "mlflow.db")
    read = set(
        base.execute(
            "SELECT name, key, step, metrics.value FROM metrics JOIN runs USING (run_uuid)"
        )
    )
    base.close()
    found = {
        (run.name, key, step, value)
        for run in read_mlflow(tmp_path / "mlflow.db")
        for key in PLACES
        for step, value in run.series[key].items()
    }
    assert found == read


def test_runs_that_aim_has_not_indexed_are_told(tmp_path):
    package("aim")
    code = "import aim; [aim.Run(repo='.').track(1, name='l', step=0) for _ in range(2)]"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)
    with pytest.raises(TrajlabError, match=r"not in the index.*reindex \(1 more"):
        import_series(tmp_path, read_aim, tmp_path / "out", map=MAP)


@pytest.mark.parametrize("kind", ["mlflow", "aim"])
def test_a_folder_that_holds_nothing_of_the_package_is_left_as_it_is(tmp_path, kind):
    package(kind)
    (tmp_path / "log").mkdir()
    with pytest.raises(TrajlabError, match="log"):
        import_series(tmp_path / "log", PACKAGES[kind][1], tmp_path / "out", map=MAP)
    assert not list((tmp_path / "log").iterdir())
