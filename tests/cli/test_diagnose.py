import json
import re
from pathlib import Path

import pandas as pd
import pytest


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_quickstart_prints_the_verdict_of_its_page(quick: Path) -> None:
    printed = words((quick / "printed.txt").read_text())
    page = words((quick / "report.html").read_text())
    for condition in ("+same", "+noisy"):
        assert f"task first, condition {condition}" in printed
        assert f"task first, condition {condition}" in page
    assert str(quick / "report.html") in printed
    assert len(list(quick.glob("*.h5"))) == 6


def test_a_quickstart_that_is_finished_only_diagnoses_again(trajlab, quick: Path, monkeypatch):
    (quick / "report.html").write_text("old")
    monkeypatch.setattr("trajlab.study.quickstart.run", lambda folder, progress: [folder])
    assert trajlab("quickstart", quick).exit_code == 0
    assert "Verdict" in (quick / "report.html").read_text()


def test_diagnose_agrees_in_every_output(trajlab, quick: Path, tmp_path: Path) -> None:
    page, csv = tmp_path / "page.html", tmp_path / "verdict.csv"
    result = trajlab("diagnose", quick, "--page", page, "--csv", csv, "--json")
    assert result.exit_code == 0
    verdict = json.loads(result.stdout)["verdict"]
    assert pd.read_csv(csv)["sentence"].tolist() == [row["sentence"] for row in verdict]
    text = words(trajlab("diagnose", quick, "--page", page, "--force").stdout)
    for row in verdict:
        assert words(row["sentence"]) in text


def test_options_reach_the_analyses(trajlab, runs: Path, tmp_path: Path) -> None:
    options = ("--baseline", "method=STL", "--margin", "1.5", "--page", tmp_path / "page.html")
    text = trajlab("diagnose", runs, *options).stdout
    assert re.search(r"against\s+method=STL", text)
    assert "1.5" in (tmp_path / "page.html").read_text()


def test_one_run_alone_has_a_page_that_says_why_there_is_no_gap(trajlab, quick: Path, tmp_path):
    page = tmp_path / "page.html"
    result = trajlab("diagnose", quick / "uniform+same-seed0.h5", "--page", page)
    assert result.exit_code == 0
    assert "Without gap, factors: " in result.stdout
    assert "Reached: test accuracy" in words(result.stdout)
    assert "What does not apply" in page.read_text()
    assert 'id="conflict"' in page.read_text()


@pytest.mark.parametrize("option", ["--page", "--csv"])
def test_an_output_that_exists_is_refused_before_any_work(trajlab, quick, tmp_path, option) -> None:
    file = tmp_path / "mine"
    file.write_text("mine")
    other = {"--page": "--csv", "--csv": "--page"}[option]
    result = trajlab("diagnose", quick, option, file, other, tmp_path / "other")
    assert result.exit_code == 2
    assert f"{file} exists" in result.stderr
    assert file.read_text() == "mine"
    assert not (tmp_path / "other").exists()


def test_conflict_of_recorded_runs(trajlab, quick: Path, tmp_path: Path) -> None:
    result = trajlab("conflict", quick, "--json", "--figure", tmp_path / "conflict.pdf")
    assert result.exit_code == 0
    summary = json.loads(result.stdout)["summary"]
    assert [row["condition"] for row in summary] == ["+noisy", "+same"]
    assert all(-1 <= row["mean_cosine"] <= 1 for row in summary)
    layers = json.loads(trajlab("conflict", quick, "--json", "--layers").stdout)["summary"]
    assert len({row["layer"] for row in layers}) > 1


def test_correlate_of_runs_and_of_a_table(trajlab, quick: Path, tmp_path: Path) -> None:
    given = ("--x", "min_train_loss", "--y", "final_metric", "--json")
    of_runs = trajlab("correlate", quick, *given)
    assert of_runs.exit_code == 0
    points = pd.DataFrame(json.loads(of_runs.stdout)["points"])
    renamed = points.rename(columns={"x_value": "min_train_loss", "y_value": "final_metric"})
    renamed.to_csv(tmp_path / "table.csv", index=False)
    of_table = trajlab("correlate", "--table", tmp_path / "table.csv", *given)
    estimates = [
        [row["estimate"] for row in json.loads(result.stdout)["correlations"]]
        for result in (of_runs, of_table)
    ]
    assert estimates[0] == pytest.approx(estimates[1], nan_ok=True)


def test_correlate_needs_runs_or_a_table(trajlab) -> None:
    result = trajlab("correlate", "--x", "a", "--y", "b")
    assert result.exit_code == 2
    assert "either runs or a table" in result.stderr
