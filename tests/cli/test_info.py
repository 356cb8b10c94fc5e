import json
from pathlib import Path

from trajlab.store import Writer


def test_runs_and_their_tables(trajlab, runs: Path) -> None:
    read = json.loads(trajlab("info", runs, "--json").stdout)
    assert len(read["runs"]) == 9
    assert read["runs"][0]["run"] == str(runs / "MTL+Fashion-seed0.h5")
    assert read["runs"][0]["seed"] == 0
    (train,) = (row for row in read["tables"] if row["table"] == "evaluations/train")
    assert (train["runs"], train["rows"], train["last_step"]) == (9, 900, 99)
    assert train["columns"] == "loss"


def test_a_run_that_recorded_nothing(trajlab, tmp_path: Path) -> None:
    Writer(tmp_path / "a.h5", tasks=["left", "right"]).close()
    read = json.loads(trajlab("info", tmp_path, "--json").stdout)
    assert read["runs"][0]["tasks"] == "left, right"
    assert read["tables"] == []


def test_what_is_skipped_is_said(trajlab, runs: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.h5"
    broken.write_bytes(b"nothing")
    result = trajlab("info", runs, broken, "--json")
    assert result.exit_code == 0
    assert result.stderr.startswith(f"Skipped: {broken}")
    assert json.loads(result.stdout)["skipped"][0]["file"] == str(broken)
