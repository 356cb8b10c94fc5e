"""What is listed of runs and their tables."""

from pathlib import Path

import pandas as pd

from tests.runs import write
from trajlab.report.inventory import inventory
from trajlab.store import Column, Runs, Table, load, standard

TASKS = ["a", "b"]


def test_runs_tables_and_what_was_skipped_are_listed(tmp_path: Path) -> None:
    losses = standard("losses", task=TASKS).only("loss")
    more = Table("more", (Column("x"), Column("y")))
    for n in (1, 2):
        flushes = [
            {"losses": {"step": 10 * n + step, "loss": [1.0, 2.0]}}
            | ({"more": {"step": step, "x": 0.0}} if n == 2 else {})
            for step in range(n + 1)
        ]
        tables = [losses, more] if n == 2 else [losses]
        facts = {"shared": ["w"] * n, "metadata": {"seed": n}}
        write(tmp_path / f"{n}.h5", TASKS, tables, flushes, close=n == 1, **facts)
    runs = load(tmp_path)
    listed = inventory(runs)
    assert [*listed] == ["runs", "tables"]
    assert listed["runs"].to_dict("records") == [
        {
            "run": str(tmp_path / f"{n}.h5"),
            "status": status,
            "seed": n,
            "tasks": "a, b",
            "shared": n,
            "problems": None,
        }
        for n, status in ((1, "complete"), (2, "recording"))
    ]
    assert listed["tables"].to_dict("records") == [
        {"table": "losses", "runs": 2, "rows": 5, "last_step": 22, "columns": "loss"},
        {"table": "more", "runs": 1, "rows": 3, "last_step": 2, "columns": "x, y"},
    ]
    runs[0].problems = ("one.", "two.")
    skipped = inventory(Runs(runs[:1], [(tmp_path / "bad.h5", "it is damaged")]))
    assert skipped["runs"]["problems"].tolist() == ["one. two."]
    expected = pd.DataFrame({"file": [str(tmp_path / "bad.h5")], "reason": ["it is damaged"]})
    pd.testing.assert_frame_equal(skipped["skipped"], expected)


def test_a_table_without_rows_has_no_last_step(tmp_path: Path) -> None:
    write(tmp_path / "run.h5", TASKS, [Table("t", (Column("x"),))], [])
    (row,) = inventory(load(tmp_path))["tables"].to_dict("records")
    assert (row["rows"], row["last_step"]) == (0, None)
