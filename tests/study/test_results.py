"""What a study took, told from its runs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trajlab.study.file import read
from trajlab.study.results import cost_table, finished
from trajlab.study.selection import runs
from trajlab.study.status import seconds

STUDY = """
setting = "digits"
condition = ["", "+same"]
batch_size = 256
epochs = 2
learning_rate = 0.1
[[stage]]
name = "one"
seed = [0, 1]
[[stage]]
name = "again"
seed = [1, 2]
[[stage]]
name = "chosen"
learning_rate = { best = "again" }
"""


def made_up(wall_time: Any, resumed_after: Any = (), evaluated: Any = ()) -> Any:
    """Return a run with these times of rows, resumed so many seconds after it was created."""
    created = datetime(2026, 1, 1, tzinfo=UTC)
    times = {"losses": wall_time, "evaluations/test": evaluated}
    started = [created + timedelta(seconds=second) for second in (0, *resumed_after)]
    return SimpleNamespace(
        tables=list(times),
        table=lambda name: {"wall_time": np.array(times[name], float)},
        created=created.isoformat(),
        sessions=[SimpleNamespace(started=moment.isoformat()) for moment in started],
    )


def test_an_interruption_costs_nothing() -> None:
    """Steps of five seconds, and a night after the fourth; resuming takes three seconds."""
    steps = [0, 5, 10, 15, 50_003, 50_008]
    assert seconds(made_up(steps, [50_000])) == 15 + 3 + 5


def test_a_long_probe_counts_and_so_does_the_last_evaluation() -> None:
    """One step of six took a minute: no median may hide it."""
    assert seconds(made_up([0, 1, 2, 62, 63, 64], evaluated=[66])) == 66


def test_a_resumption_without_rows_after_it_is_no_pause() -> None:
    assert seconds(made_up([0, 5, 10], [5_000])) == 10


def test_a_run_resumed_before_its_first_row_lost_nothing() -> None:
    assert seconds(made_up([100, 105], [50])) == 5


def test_without_losses_it_is_not_known() -> None:
    assert np.isnan(seconds(SimpleNamespace(tables=[])))  # type: ignore[arg-type]


def test_a_run_of_two_stages_is_counted_once(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    made = replace(read(file), runs=tmp_path / "runs")
    trained = runs(made, made.stages[0]) or []
    for run in trained[:3]:
        run.train()
    table = cost_table(file, tmp_path / "runs").set_index("stage")
    assert table["wanted"].tolist()[:2] == [4, 2]
    assert np.isnan(table.loc["chosen", "wanted"])  # its choice is not made yet
    assert table["finished"].tolist() == [3, 0, 0]
    hours = [seconds(found) / 3600 for run in trained if (found := run.trajectory())]
    assert table.loc["one", "core_hours"] == pytest.approx(sum(hours))
    assert 0 < table.loc["one", "core_hours"] < 1


def test_a_failed_run_is_told_and_withholds_the_verdict(tmp_path: Path) -> None:
    """Of trials it counts as tried, elsewhere its seed is not whole."""
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    made = replace(read(file), runs=tmp_path / "runs")
    first, *others = runs(made, made.stages[0]) or []
    for run in others:
        run.train()
    first.fail("the algorithm failed to converge", "Traceback")
    found = finished(file, ["one"], tmp_path / "runs")
    tried = finished(file, ["one"], tmp_path / "runs", failures=True)
    assert (found.seeds, found.wanted, found.failed) == (1, 2, 1)
    assert (tried.seeds, len(tried.runs)) == (2, 3)
    verdict = found.withhold(pd.DataFrame({"verdict": ["supported"]}), fewest=1)
    assert verdict["verdict"].tolist() == ["undecided"]
    assert verdict["lacks"].tolist() == ["1 of 2 seeds are trained, 1 runs failed"]
    assert cost_table(file, tmp_path / "runs")["failed"].tolist()[0] == 1
