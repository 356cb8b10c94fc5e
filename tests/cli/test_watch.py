"""What ``trajlab watch`` puts on a screen of 80 × 24: every run counted, nothing cut off."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Trajlab
from tests.runs import write
from trajlab.cli.watch import LISTED, panels, screen
from trajlab.store import load, standard

ESCAPE = re.compile(r"\x1b\[[\d;]*m")
TASKS = ["left", "right"]


def record(folder: Path, name: str, *, close: bool = True) -> Path:
    flushes = (
        {
            "losses": {"step": step, "loss": [step + 0.5, 2.0]},
            "gradients": {"step": step, "gram": [[[1, 0.5], [0.5, 1]]]},
            "sharpness": {"step": step, "value": [[0.1], [0.2]]},
            "hessian": {"step": step, "top": [5, 6]},
        }
        for step in range(60)
    )
    declared = [
        standard("losses", task=TASKS),
        standard("gradients", task=TASKS, layer=["trunk"]),
        standard("sharpness", task=TASKS, rho=[0.05]),
        standard("hessian", task=TASKS),
    ]
    return write(folder / name, TASKS, declared, flushes, close=close)


def shown(folder: Path, height: int = 24) -> list[str]:
    lines = [ESCAPE.sub("", line) for line in screen(load(folder), 80, height)]
    assert max(map(len, lines)) <= 80
    return lines


@pytest.mark.parametrize("number", [1, 2, LISTED, LISTED + 9])
def test_every_run_is_told_on_one_screen(tmp_path: Path, number: int) -> None:
    for i in range(number):
        record(tmp_path, f"run-{i}.h5")
    lines = shown(tmp_path)
    assert len(lines) <= 24
    text = "\n".join(lines)
    assert len(re.findall(r"run-\d+\.h5  ", text)) == min(number, LISTED) + 1 - (number == 1)
    assert ("… and 9 more" in text) == (number == LISTED + 9)
    for title in ("training loss", "cosine of task gradients", "sharpness", "top Hessian"):
        assert title in text


def test_what_records_comes_first_and_is_drawn(tmp_path: Path) -> None:
    record(tmp_path, "a.h5", close=False)
    record(tmp_path, "b.h5")
    lines = shown(tmp_path)
    assert re.match(r"a\.h5 +recording +step 59 +loss 59\.5, 2", lines[0])
    assert lines[1].startswith("b.h5 ")
    assert lines[2].endswith("a.h5  recording")


def test_curves_have_the_tasks_of_their_table(tmp_path: Path) -> None:
    """A probe may have been asked for some tasks, or have found one that the run did not name."""
    declared = [standard("losses", task=TASKS), standard("hessian", task=["right"])]
    rows = ({"hessian": {"step": step, "top": [step]}} for step in range(3))
    write(tmp_path / "run.h5", TASKS, declared, rows)
    (run,) = load(tmp_path)
    drawn = {title: lines for title, _, lines in panels(run)}
    assert list(drawn["training loss"]) == TASKS
    assert drawn["top Hessian eigenvalue"]["right"].tolist() == [0, 1, 2]
    assert list(drawn["top Hessian eigenvalue"]) == ["right"]


def test_what_has_no_room_is_named(tmp_path: Path) -> None:
    record(tmp_path, "a.h5")
    lines = shown(tmp_path, height=9)
    assert lines[-1] == "Not drawn: sharpness, top Hessian eigenvalue"
    assert len(lines) <= 9


def test_a_folder_is_watched_and_the_way_to_the_browser_told(
    trajlab: Trajlab, tmp_path: Path
) -> None:
    record(tmp_path, "a.h5")
    (tmp_path / "b.h5").write_bytes(b"no run")
    result = trajlab("watch", tmp_path, "--once")
    assert result.exit_code == 0
    assert "Skipped: " in result.stdout
    assert f"In the browser: trajlab view {tmp_path}"[:80] in result.stdout


def test_a_folder_is_watched_until_its_last_run_has_ended(
    trajlab: Trajlab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = record(tmp_path, "a.h5", close=False)
    waited = []

    def wait(_: float) -> None:
        waited.append(1)
        if len(waited) == 1:  # another begins before the first has ended
            record(tmp_path, "late.h5", close=False)
            trajlab("merge", first)
        else:
            trajlab("merge", tmp_path / "late.h5")

    monkeypatch.setattr("time.sleep", wait)
    assert "late.h5" in trajlab("watch", tmp_path).stdout
    assert len(waited) == 2
