"""What a refusing disk leaves behind a log, and a log that is damaged: neither is taken on."""

from pathlib import Path

import numpy as np
import pytest

from tests.runs import write
from trajlab.store import log, merge, parts, standard
from trajlab.store.log import Log, LogReader

TABLE = standard("losses", task=["a"]).only("loss")


def test_what_a_refusing_disk_left_goes_with_the_next_frame(tmp_path, monkeypatch):
    rows = [{"losses": {"step": 0, "loss": [1.0]}}]
    run = write(tmp_path / "run.h5", ["a"], [TABLE], rows, close=False)
    header = LogReader(parts.log(run, 1)).source().header
    frames = Log(tmp_path / "one.log")

    def append(rows):
        arrays = {"step": np.arange(rows).tobytes(), "loss": bytes(8 * rows)}
        frames.append(header, [TABLE], [(TABLE, rows, arrays)])

    append(1)

    def refuse(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(log, "_sync", refuse)
        with pytest.raises(OSError, match="No space"):
            append(1000)
    assert frames.path.stat().st_size > frames.size
    append(2)
    assert frames.path.stat().st_size == frames.size
    frames.close()
    assert sum(block.length for block in LogReader(frames.path).source().stored["losses"]) == 3


@pytest.mark.parametrize("damaged", [False, True])
def test_a_log_that_is_damaged_is_not_sealed_in_its_place(tmp_path: Path, damaged: bool) -> None:
    rows = ({"losses": {"step": step, "loss": [0.5]}} for step in range(3))
    run = write(tmp_path / "run.h5", ["a"], [TABLE], rows, close=False)
    file = parts.log(run, 1)
    content = bytearray(file.read_bytes())
    if damaged:
        content[-1] ^= 1  # in the last frame, which was acknowledged
        file.write_bytes(content)
    merge.seal_log(run, 1)
    assert file.exists() == damaged
    assert parts.sealed(run, 1).exists() != damaged
