"""What a study took, told from its runs."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from trajlab.errors import TrajlabError
from trajlab.store import Runs
from trajlab.study.file import read
from trajlab.study.results import Finished, command, cost_table, finished
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


def test_of_a_run_without_a_clock_it_is_not_known_either() -> None:
    assert np.isnan(seconds(made_up([np.nan, np.nan])))


def test_rows_before_the_moment_that_is_asked_for_do_not_count() -> None:
    assert seconds(made_up([0, 5, 20, 21], [18]), since=20) == 1


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


@pytest.mark.parametrize(
    ("seeds", "wanted", "failed", "fewest", "lacks"),
    [
        (3, 3, 0, 3, ""),
        (2, 2, 0, 3, "2 seeds are too few"),
        (2, 2, 0, 2, ""),
        (2, 3, 0, 3, "2 of 3 seeds are trained"),
        (3, 4, 0, 3, "3 of 4 seeds are trained"),
        (3, 3, 1, 3, "1 runs failed"),
        (2, 2, 2, 3, "2 seeds are too few, 2 runs failed"),
    ],
)
def test_a_verdict_stands_with_all_seeds_enough_of_them_and_no_failed_run(
    seeds: int, wanted: int, failed: int, fewest: int, lacks: str
) -> None:
    verdicts = pd.DataFrame({"gap": [0.1, 0.2], "verdict": ["supported", "not supported"]})
    found = Finished(Runs([]), seeds, wanted, failed).withhold(verdicts, fewest)
    assert found["verdict"].tolist() == ["undecided"] * 2 if lacks else verdicts["verdict"].tolist()
    assert found["so_far"].tolist() == verdicts["verdict"].tolist()
    assert found["lacks"].tolist() == [lacks] * 2
    assert found["n"].tolist() == [seeds] * 2
    assert found["gap"].tolist() == [0.1, 0.2]
    by_default = Finished(Runs([]), seeds, wanted, failed).withhold(verdicts)
    assert by_default["lacks"].tolist() == [lacks or "2 seeds are too few" * (seeds < 3)] * 2


def test_what_is_finished_comes_by_seed_and_not_before_a_choice_is_made(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(STUDY.replace("seed = [0, 1]", "seed = [1, 0]"))
    made = replace(read(file), runs=tmp_path / "runs")
    for run in runs(made, made.stages[0]) or []:
        run.train()
    found = finished(file, ["one"], tmp_path / "runs")
    assert [(r.metadata["seed"], r.metadata["condition"]) for r in found.runs] == [
        (seed, condition) for seed in (0, 1) for condition in ("", "+same")
    ]
    assert (found.seeds, found.wanted, found.failed) == (2, 2, 0)
    both = finished(file, ["one", "again"], tmp_path / "runs")
    assert (both.seeds, both.wanted) == (2, 3)  # seed 2 is of the second stage alone
    unchosen = finished(file, ["one", "chosen"], tmp_path / "runs")
    assert (unchosen.seeds, unchosen.wanted) == (1, 2)  # whose only seed is 0
    with pytest.raises(TrajlabError, match=r"'none' in the stages of .* is unknown"):
        finished(file, ["none"], tmp_path / "runs")


@pytest.mark.filterwarnings("default:look here")
def test_an_analysis_s_command_writes_all_tables_and_prints_those_that_are_short(
    tmp_path: Path,
) -> None:
    file = tmp_path / "study.toml"
    file.write_text(STUDY)
    trained = tmp_path / "runs"
    trained.mkdir()

    def evaluate(study: Path, folder: Path, out: Path) -> Mapping[str, pd.DataFrame]:
        """Say what it does."""
        assert (study, folder) == (file, trained)
        warnings.warn("look here", stacklevel=1)
        (out / "figure.png").touch()
        return {name: pd.DataFrame({"x": np.full(n, 1 / 3)}) for name, n in (("a", 30), ("b", 31))}

    main = command(evaluate, tmp_path)
    done = CliRunner().invoke(main, [str(trained)])
    assert done.exit_code == 0, done.output
    results = tmp_path / "results"
    assert {each.name for each in results.iterdir()} == {"cost.csv", "a.csv", "b.csv", "figure.png"}
    assert (results / "b.csv").read_text() == "x\n" + 31 * "0.3333\n"
    assert done.stderr == "Warning: look here\n"
    assert done.stdout.count("0.333\n") == 30
    assert f"b\n31 rows: {results / 'b.csv'}\n" in done.stdout
    assert "Say what it does." in CliRunner().invoke(main, ["--help"]).output
    elsewhere = [str(trained), "--study", str(tmp_path / "none.toml")]
    elsewhere += ["--out", str(tmp_path / "o" / "deeper")]
    failed = CliRunner().invoke(main, elsewhere)
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Error: ")
    assert "none.toml" in failed.stderr
