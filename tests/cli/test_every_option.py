"""Every option of factors, correlate, front and gap, from the shell on real files."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trajlab.plots.style import PALETTE

STL = ("--baseline", "method=STL")


def printed(trajlab, *arguments: object) -> dict[str, list[dict[str, object]]]:
    result = trajlab(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 runs of 3 methods on a grid of learning rates and widths, with old and fresh seeds."""
    rng = np.random.default_rng(0)
    rows = [
        {"method": method, "lr": lr, "width": width, "seed": seed, "new": seed > 1, "split": split}
        for method in ("scalarization", "pcgrad", "mgda")
        for lr in (1, 2, 3)
        for width in (8, 16)
        for seed in range(4)
        for split in ("validation", "test")
    ]
    frame = pd.DataFrame(rows)
    frame["left"] = frame["lr"] + rng.normal(size=len(frame)) / 9
    frame["right"] = -(frame["lr"] ** 2) + rng.normal(size=len(frame)) / 9
    file = tmp_path_factory.mktemp("table") / "table.csv"
    frame.to_csv(file, index=False)
    return file


def test_factors(trajlab, runs: Path, tmp_path: Path) -> None:
    options = ("--rule", "bins", "--best", 5, "--last", 10, "--largest", 10, "--at", 0.1)
    more = ("--at", 0.01, "--selection-split", "test", "--metric", "accuracy", "--split", "test")
    rest = ("--against", "method=MTL+Noisy", "--confidence", 0.9, "--seed", 1, "--group-by", "seed")
    figure = tmp_path / "factors.svg"
    found = printed(trajlab, "factors", runs, *STL, *options, *more, *rest, "--figure", figure)
    assert {row["at"] for row in found["delta"]} == {"end", "0.1", "0.01"}
    assert {row["method"] for row in found["delta"]} == {"MTL+Noisy"}
    labels = re.findall(r">([^<>]+)</text>", figure.read_text())
    assert "no factor with two runs on either side" in labels  # a seed each, by --group-by
    plain = tmp_path / "plain.svg"
    printed(trajlab, "factors", runs, *STL, "--against", "method=MTL+Noisy", "--figure", plain)
    labels = re.findall(r">([^<>]+)</text>", plain.read_text())
    assert {"sharpness", "fisher", "MTL+Noisy", "at equal training loss"} <= set(labels)
    assert not any("MTL+Fashion" in label for label in labels)
    # the colour that it has beside the others of the folder, which are not drawn here
    assert PALETTE[1] in plain.read_text()
    assert PALETTE[0] not in plain.read_text()


def test_correlate(trajlab, table: Path, tmp_path: Path) -> None:
    asked = ("correlate", "--table", table, "--x", "left", "--y", "right")
    plain = printed(trajlab, *asked, "--unit", "lr", "--margin", 0.3, "--adjustment", "bh")
    assert [row["n"] for row in plain["correlations"]] == [3] * 3
    within = printed(trajlab, *asked, "--within", "method", "--interval", "bootstrap", "--seed", 2)
    assert {row["group"] for row in within["correlations"]} == {"scalarization", "pcgrad", "mgda"}
    given = printed(trajlab, *asked, "--given", "width", "--confidence", 0.9)
    assert {row["given"] for row in given["correlations"]} == {"width"}
    figure = tmp_path / "correlate.png"
    grid = ("--axes", "lr", "--axes", "width", "--test-size", 100, "--figure", figure)
    found = printed(trajlab, *asked, *grid)
    assert {"granulated_kendall", "worst_sign_error", "conditional_information"} <= {
        row["statistic"] for row in found["correlations"]
    }
    assert figure.stat().st_size > 1000


def test_front(trajlab, table: Path, tmp_path: Path) -> None:
    asked = ("front", "--table", table, "--objective", "left=max", "--objective", "right=max")
    keys = ("--group-by", "lr", "--group-by", "width", "--baseline", "method=mgda", "--seed", 1)
    rest = ("--fresh", "new=True", "--split", "test", "--selection-split", "validation")
    csv, figure = tmp_path / "front.csv", tmp_path / "front.pdf"
    outputs = ("--csv", csv, "--figure", figure, "--confidence", 0.9)
    found = printed(trajlab, *asked, *keys, *rest, *outputs)
    assert [row["method"] for row in found["distance"]] == ["scalarization", "pcgrad"]
    assert all("same runs" not in str(row["reason"]) for row in found["distance"])
    assert len(pd.read_csv(csv)) == 18


def test_gap_of_a_quantity(trajlab, runs: Path, tmp_path: Path) -> None:
    figure = tmp_path / "gap.svg"
    asked = ("gap", runs, *STL, "--metric", "sharpness/value", "--figure", figure)
    found = printed(trajlab, *asked)
    assert {row["metric"] for row in found["summary"]} == {"sharpness/value"}
    assert "up is larger" in figure.read_text()
    wrong = trajlab("gap", runs, *STL, "--metric", "sharpness/nothing")
    assert wrong.exit_code == 2
    assert "sharpness/value" in wrong.stderr


def test_a_figure_has_the_width_that_was_asked_for(trajlab, runs: Path, tmp_path: Path) -> None:
    figure = tmp_path / "gap.svg"
    printed(trajlab, "gap", runs, *STL, "--figure", figure, "--width", 3.3)
    (points,) = re.findall(r'<svg[^>]* width="([\d.]+)pt"', figure.read_text())
    assert float(points) == pytest.approx(3.3 * 72)
    wrong = trajlab("gap", runs, *STL, "--figure", tmp_path / "other.svg", "--width", 1.9)
    assert wrong.exit_code == 2
    assert "--width" in wrong.stderr


def test_a_page_has_the_title_that_was_asked_for_and_tells_its_command(
    trajlab, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/bin/trajlab", "diagnose", "my runs"])
    page = tmp_path / "page.html"
    result = trajlab("diagnose", runs, *STL, "--page", page, "--title", "<b>Mine & yours")
    assert result.exit_code == 0, result.stderr
    assert "<title>&lt;b&gt;Mine &amp; yours</title>" in page.read_text()
    assert "<b>Mine" not in page.read_text()
    assert "trajlab diagnose &#39;my runs&#39;" in page.read_text()
