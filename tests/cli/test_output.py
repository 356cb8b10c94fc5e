import json

import numpy as np
import pandas as pd
import pytest

from trajlab.cli.output import show

WIDE = pd.DataFrame(
    {
        "task": ["first", "second"],
        **{f"quantity_number_{i}": [1.23456, np.nan] for i in range(11)},
        "quantity_number_11": [1.23456, 9.87],
        "reason": ["", "no training loss that both groups of runs reach, so there is no gap"],
    }
)
LONG = pd.DataFrame({"step": range(1000), "cosine": np.linspace(-1, 1, 1000)})


@pytest.fixture(autouse=True)
def terminal(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("table", [WIDE, LONG, WIDE.iloc[:1], LONG.iloc[:0]])
def test_nothing_is_wider_than_the_terminal(capsys, table: pd.DataFrame) -> None:
    show({"summary": table})
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())


def test_a_wide_table_is_laid_on_its_side_whole(capsys) -> None:
    show({"summary": WIDE})
    out = capsys.readouterr().out
    assert "…" not in out
    for name in WIDE:
        assert name.replace("_", " ") in out
    assert "1.23" in out


def test_the_main_table_is_first_and_whole_and_others_follow_if_they_are_short(capsys) -> None:
    show({"pairs": LONG, "few": LONG.iloc[900:905], "summary": LONG.iloc[:500]})
    out = capsys.readouterr().out
    assert out.startswith("summary\n")
    assert out.endswith("--json prints all: pairs (1000 rows).\n")
    assert " 904 " in out
    assert all(f" {step} " in out for step in range(500))


def test_a_table_beside_the_main_one_has_at_most_twenty_rows(capsys) -> None:
    """What was left out is named with its rows, and nothing is said where all was shown."""
    main = LONG.iloc[:3]
    show({"own": LONG.iloc[:20], "summary": main, "none": LONG.iloc[:0]})
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.isalpha()] == ["summary", "own"]
    assert "--json" not in out
    show({"own": LONG.iloc[:21], "other": LONG.iloc[:2], "summary": main}, details=["other"])
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.isalpha()] == ["summary"]
    said = "own (21 rows), other (2 rows), every column of summary"
    assert out.endswith(f"--json prints all: {said}.\n")
    show({"own": main, "chief": LONG.iloc[:30]}, first="chief")
    assert capsys.readouterr().out.startswith("chief\n")


def test_counts_alone_are_no_numbers_and_each_reason_has_its_line(capsys) -> None:
    rows = {"task": list("abcde"), "delta": [1.5, np.nan, np.nan, np.nan, np.nan]}
    rows |= {"se": [np.nan, 0.25, np.nan, np.nan, np.nan], "n_runs": [5] * 5}
    reasons = ["", "alone", "no loss", "no loss", "diverged"]
    show({"summary": pd.DataFrame({**rows, "reason": reasons})})
    out = capsys.readouterr().out
    assert "1 more without numbers: diverged.\n2 more without numbers: no loss.\n" in out
    assert "0.25" in out  # one number is enough to be a row
    # where no row has a number, all are shown
    show({"summary": pd.DataFrame({**rows, "reason": reasons}).drop(columns=["delta", "se"])})
    out = capsys.readouterr().out
    assert "without numbers" not in out
    assert [line.split()[0] for line in out.splitlines()[-6:-1]] == list("abcde")


def test_details_are_left_to_json(capsys) -> None:
    table = pd.DataFrame({"task": ["a", "b"], "delta": [1.5, 2.5], "delta_se": [0.1, 0.2]})
    show({"summary": table.assign(n_diverged=0)}, details=("delta_se", "rule"))
    out = capsys.readouterr().out
    assert "delta se" not in out
    assert "diverged" not in out  # none did
    assert "--json prints all: every column of summary" in out


def test_rows_without_numbers_are_one_line(capsys) -> None:
    rows = {"task": ["a", "b", "c"], "delta": [1.5, np.nan, np.nan], "n_runs": [5, 5, 5]}
    show({"summary": pd.DataFrame({**rows, "reason": ["", "no baseline", "no baseline"]})})
    out = capsys.readouterr().out
    assert "2 more without numbers: no baseline." in out
    assert "1.5" in out


def test_a_path_is_never_cut(capsys) -> None:
    path = "/a/folder/whose/name/is/rather/long/" + "run" * 8 + ".h5"
    show({"runs": pd.DataFrame({"run": [path], "tasks": ["left, right, " * 9]})})
    assert path in capsys.readouterr().out


def test_a_word_wider_than_the_terminal_is_folded_and_nothing_is_cut(capsys) -> None:
    sentence = f"{'/folder' * 20}/run.h5 is damaged; restore it from a copy"
    show({"problems": pd.DataFrame({"run": ["run.h5"], "problem": [sentence]})})
    out = capsys.readouterr().out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert sentence.replace(" ", "") in "".join(out.split())


def test_an_empty_table_says_so(capsys) -> None:
    show({"pairs": LONG.iloc[:0]})
    assert capsys.readouterr().out == "pairs\nno rows\n\n"


def test_markup_in_names_is_text(capsys) -> None:
    show({"runs": pd.DataFrame({"task": ["[red]a[/red]", "[b]"]})})
    assert "[red]a[/red]" in capsys.readouterr().out


def test_json_is_complete_and_has_null_for_what_is_missing(capsys) -> None:
    show({"pairs": LONG, "summary": WIDE}, as_json=True)
    read = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert len(read["pairs"]) == 1000
    assert read["summary"][0]["quantity_number_0"] == 1.23456
    assert read["summary"][1]["quantity_number_0"] is None
