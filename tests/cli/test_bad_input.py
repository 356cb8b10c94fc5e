"""Wrong input: exit code 2, one sentence that names the place, nothing half-written."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import IMPORT, REFERENCE
from trajlab.store import Writer

GAP = ("gap", "--baseline", "method=STL")


def refused(result, *named: object) -> None:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    for name in named:
        assert str(name) in result.stderr


@pytest.fixture
def reference() -> pd.DataFrame:
    return pd.read_csv(REFERENCE)


def imported(
    trajlab, folder: Path, table: pd.DataFrame, rename: tuple[str, str] = ("", "")
) -> Path:
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / "table.csv", index=False)
    options = [option.replace(*rename) for option in IMPORT]
    result = trajlab("import", "csv", folder / "table.csv", "--out", folder / "runs", *options)
    assert result.exit_code == 0, result.stderr
    return folder / "runs"


def test_no_trajectory_file(trajlab) -> None:
    refused(trajlab("info", REFERENCE), REFERENCE)


def test_a_truncated_file(trajlab, runs: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.h5"
    cut.write_bytes((runs / "STL-seed0.h5").read_bytes()[:-1000])
    refused(trajlab("gap", cut), cut)


def test_a_damaged_file(trajlab, runs: Path, tmp_path: Path) -> None:
    content = bytearray((runs / "STL-seed0.h5").read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(content)
    refused(trajlab("gap", damaged), damaged)


def test_a_newer_format(trajlab, tmp_path: Path, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("trajlab.store.header.FORMAT_VERSION", 3)
        Writer(tmp_path / "new.h5", tasks=["left"]).close()
    refused(trajlab("info", tmp_path), tmp_path / "new.h5", "version")


def test_no_such_file(trajlab, tmp_path: Path) -> None:
    refused(trajlab("info", tmp_path / "none.h5"), tmp_path / "none.h5")


def test_an_empty_folder(trajlab, tmp_path: Path) -> None:
    refused(trajlab("gap", tmp_path), tmp_path)


def test_a_missing_baseline(trajlab, runs: Path) -> None:
    refused(trajlab("gap", runs), "method=single", "method=STL")


@pytest.mark.parametrize("rename", [("FashionMTL", "Elsewhere"), ("fashion1", "Elsewhere")])
def test_no_setting_or_task_in_common(trajlab, tmp_path: Path, reference, rename) -> None:
    single = imported(trajlab, tmp_path / "a", reference[reference["setting"] == "STL"])
    noisy = imported(trajlab, tmp_path / "b", reference[reference["setting"] != "STL"], rename)
    refused(trajlab(*GAP, single, noisy), *rename)


def test_no_loss_in_common_is_a_row_with_a_reason(trajlab, tmp_path: Path, reference) -> None:
    reference.loc[reference["setting"] == "STL", "train_loss"] *= 1e9
    figure = tmp_path / "gap.png"
    result = trajlab(*GAP, imported(trajlab, tmp_path, reference), "--figure", figure)
    assert result.exit_code == 0, result.stderr
    assert "reason" in result.stdout
    assert figure.exists()


def test_one_seed_is_a_row_with_a_reason(trajlab, tmp_path: Path, reference) -> None:
    figure = tmp_path / "gap.png"
    one = imported(trajlab, tmp_path, reference[reference["seed"] == 0])
    result = trajlab(*GAP, one, "--figure", figure)
    assert result.exit_code == 0, result.stderr
    assert "reason" in result.stdout
    assert figure.exists()


def test_a_diverged_run_is_counted(trajlab, tmp_path: Path, reference) -> None:
    diverged = (reference["setting"] == "MTL+Noisy") & (reference["seed"] == 0)
    reference.loc[diverged & (reference["epoch"] > 50), "train_loss"] = np.inf
    result = trajlab(*GAP, imported(trajlab, tmp_path, reference))
    assert result.exit_code == 0, result.stderr
    assert "diverged" in result.stdout


@pytest.mark.parametrize("cell", ["", "high"])
def test_a_csv_with_a_cell_that_is_no_number(trajlab, tmp_path: Path, reference, cell) -> None:
    table = reference.astype({"train_loss": object})
    table.loc[7, "train_loss"] = cell
    file = tmp_path / "table.csv"
    table.to_csv(file, index=False)
    refused(trajlab("import", "csv", file, "--out", tmp_path / "runs", *IMPORT), file, "train_loss")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("option", ["--csv", "--figure"])
def test_an_output_that_exists(trajlab, runs: Path, tmp_path: Path, option: str) -> None:
    file = tmp_path / "gap.svg"
    file.write_text("mine")
    refused(trajlab(*GAP, runs, option, file), file, "--force")
    assert file.read_text() == "mine"
    assert trajlab(*GAP, runs, option, file, "--force").exit_code == 0
    assert file.read_text() != "mine"


def test_one_output_refused_means_none_written(trajlab, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "gap.svg").write_text("mine")
    options = ("--csv", tmp_path / "gap.csv", "--figure", tmp_path / "gap.svg")
    refused(trajlab(*GAP, runs, *options), "gap.svg")
    assert os.listdir(tmp_path) == ["gap.svg"]


def test_a_figure_that_fails_leaves_no_table(trajlab, runs: Path, tmp_path: Path, monkeypatch):
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device", "gap.svg")

    monkeypatch.setattr("trajlab.report.figures.render", full)
    options = ("--csv", tmp_path / "gap.csv", "--figure", tmp_path / "gap.svg")
    refused(trajlab(*GAP, runs, *options), "gap.svg: No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there(trajlab, runs: Path, tmp_path: Path) -> None:
    refused(trajlab(*GAP, runs, "--csv", tmp_path / "no" / "gap.csv"), tmp_path / "no")


def test_a_read_only_folder(trajlab, runs: Path, tmp_path: Path, monkeypatch) -> None:
    # Root may write anywhere, so the system's answer is put in its place.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    refused(trajlab(*GAP, runs, "--csv", tmp_path / "gap.csv"), tmp_path, "read-only")
    assert os.listdir(tmp_path) == []


def test_an_import_below_a_file(trajlab, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused(
        trajlab("import", "csv", REFERENCE, "--out", tmp_path / "file" / "runs", *IMPORT), "file"
    )
    assert os.listdir(tmp_path) == ["file"]


def test_a_quickstart_below_a_file(trajlab, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = trajlab("quickstart", tmp_path / "file" / "runs")
    assert result.exit_code == 2
    assert str(tmp_path / "file") in result.stderr
    assert os.listdir(tmp_path) == ["file"]


def test_a_figure_of_unknown_format(trajlab, runs: Path, tmp_path: Path) -> None:
    result = trajlab(*GAP, runs, "--figure", tmp_path / "gap.bmp")
    assert result.exit_code == 2
    assert "gap.bmp must end in .png, .svg or .pdf" in " ".join(result.stderr.split())
    assert os.listdir(tmp_path) == []
