import json
from pathlib import Path

import pandas as pd
import pytest

GAP = ("gap", "--baseline", "method=STL")


def test_gap_agrees_in_every_output(trajlab, runs: Path, tmp_path: Path) -> None:
    csv, figure = tmp_path / "gap.csv", tmp_path / "gap.svg"
    result = trajlab(*GAP, runs, "--json", "--csv", csv, "--figure", figure)
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert list(printed) == ["curve", "summary", "steps", "at", "overall", "sensitivity"]
    written = pd.read_csv(csv)
    assert list(written) == list(printed["summary"][0])
    onsets = [row["onset_loss"] for row in printed["summary"]]
    assert written["onset_loss"].tolist() == pytest.approx(onsets, rel=1e-14)  # pandas reads so
    drawn = figure.read_text()  # its text is text
    for label in ("MTL+Fashion, onset at 0.089", "MTL+Noisy, onset at 0.18"):
        assert drawn.count(f">{label}<") == 1
    assert ">gap in accuracy (up is better)<" in drawn


def test_options_reach_the_analysis(trajlab, runs: Path) -> None:
    def onsets(*options: str) -> list[float | None]:
        printed = json.loads(trajlab(*GAP, runs, "--json", *options).stdout)
        return [row["onset_loss"] for row in printed["summary"]]

    # the README beside the reference lists them; points of the grid are 12 % apart
    paper = onsets("--rule", "first_passage", "--interval", "2sd", "--onset", "first")
    assert paper == pytest.approx([0.28, 0.16], rel=0.02)
    assert onsets("--against", "method=MTL+Noisy") == pytest.approx([0.18], rel=0.02)


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_figures_have_their_format(trajlab, runs: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"gap.{ending}"
    assert trajlab(*GAP, runs, "--figure", path).exit_code == 0
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(start)


def test_printed_tables_fit_the_terminal(trajlab, runs: Path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = trajlab(*GAP, runs).stdout
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "onset loss" in out
    assert out.startswith("summary\n")
    assert "delta df" not in out  # a detail
    assert "steps (" in out  # another one, and a whole table
    assert "every column of summary" in out
    out = trajlab("factors", runs, "--baseline", "method=STL").stdout
    assert out.startswith("delta\n")  # which is not its first table
