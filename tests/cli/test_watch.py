"""What ``trajlab watch`` puts on a screen of 80 × 24: every run counted, nothing cut off."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Trajlab
from tests.runs import write
from trajlab.cli import watch
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
    record(tmp_path, "b.h5", close=False)
    record(tmp_path, "a.h5")
    runs = load(tmp_path)
    runs[0].created = "2099-01-01T00:00:00"  # the other one has begun before
    lines = [ESCAPE.sub("", line) for line in screen(runs, 80, 24)]
    assert re.match(r"b\.h5 +recording +step 59 +loss 59\.5, 2", lines[0])
    assert lines[1].startswith("a.h5 ")
    assert lines[2].endswith("b.h5  recording")


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


def test_each_panel_has_the_numbers_of_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MOST", 3)  # cosines, of the 7 that there are
    tasks = ["a", "b", "c"]
    declared = [
        standard("losses", task=tasks),
        standard("gradients", task=tasks, layer=["trunk", "top"]),
        standard("sharpness", task=tasks, rho=[0.05, 0.1]),
    ]
    gram = np.array([[4, 1, -3], [1, 1, 0], [-3, 0, 9]]) / 2  # in each of two layers
    rows = (
        {
            "losses": {"step": step, "loss": [step, 2 * step, 1.0]},
            "gradients": {"step": step, "gram": [gram, gram]},
            "sharpness": {"step": step, "value": [[9, step], [9, 1], [9, 2]]},
        }
        for step in range(7)
    )
    (run,) = load(write(tmp_path / "run.h5", tasks, declared, rows))
    drawn = {title: (steps.tolist(), lines) for title, steps, lines in panels(run)}
    assert [steps for steps, _ in drawn.values()] == [[*range(7)], [0, 3, 6], [*range(7)]]
    loss, cosines, sharpness = (lines for _, lines in drawn.values())
    assert {name: line.tolist()[5] for name, line in loss.items()} == {"a": 5, "b": 10, "c": 1}
    assert {name: line.tolist() for name, line in cosines.items()} == {
        "a, b": [0.5] * 3,
        "a, c": [-0.5] * 3,
        "b, c": [0] * 3,
    }
    assert {name: line.tolist()[6] for name, line in sharpness.items()} == {"a": 6, "b": 1, "c": 2}


def test_the_newest_run_is_first_and_each_is_told_by_its_losses(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", ["t"], [standard("evaluations/train", task=["t"])], [])
    rows = ({"evaluations/train": {"step": step, "loss": [0.25]}} for step in (3, 8))
    write(tmp_path / "z.h5", ["t"], [standard("evaluations/train", task=["t"])], rows)
    runs = load(tmp_path)
    for run, begun in zip(runs, ("2026-01-01T10:00:00", "2026-01-01T10:00:01"), strict=True):
        run.created = begun
    lines = [" ".join(ESCAPE.sub("", line).split()) for line in screen(runs, 80, 24)]
    assert lines[:2] == ["z.h5 complete step 8 loss 0.25", "a.h5 complete no step yet"]
    assert lines[2].endswith("z.h5 complete")
    assert len(lines) == 3


def test_only_finite_values_are_drawn_and_a_panel_fills_the_room_it_has(tmp_path: Path) -> None:
    losses = [1.0, np.inf, np.nan, 3.0]
    rows = ({"losses": {"step": step, "loss": [own]}} for step, own in enumerate(losses))
    write(tmp_path / "a.h5", ["t"], [standard("losses", task=["t"])], rows)
    for height in (7, 24):
        lines = shown(tmp_path, height)
        assert len(lines) == height  # one run is not listed
        assert lines[1].strip() == "training loss, step 3"
    assert "3.00" in "".join(lines)


def test_what_has_no_room_is_named(tmp_path: Path) -> None:
    record(tmp_path, "a.h5")
    for height, missing in ((12, 2), (13, 0)):  # two rows of six lines, and one that names the run
        lines = shown(tmp_path, height=height)
        assert len(lines) == height
        names = ["sharpness", "top Hessian eigenvalue"][:missing]
        assert [line for line in lines if line.startswith("Not drawn")] == [
            f"Not drawn: {', '.join(names)}"
        ] * bool(missing)
    lines = shown(tmp_path, height=9)
    assert lines[-1] == "Not drawn: sharpness, top Hessian eigenvalue"
    assert len(lines) == 9


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

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 1:  # another begins before the first has ended
            record(tmp_path, "late.h5", close=False)
            trajlab("merge", first)
        else:
            trajlab("merge", tmp_path / "late.h5")

    monkeypatch.setattr("time.sleep", wait)
    assert "late.h5" in trajlab("watch", tmp_path, "--interval", 7.5).stdout
    assert waited == [7.5, 7.5]


def test_a_file_that_is_no_run_is_told_and_ends_the_watch(trajlab: Trajlab, tmp_path: Path) -> None:
    (tmp_path / "b.h5").write_bytes(b"no run")
    done = trajlab("watch", tmp_path)
    assert done.exit_code == 2
    assert "b.h5" in done.stderr
