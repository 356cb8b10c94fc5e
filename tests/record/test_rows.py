"""Rows between the probes and the writer: what cannot be written is told, and the rest goes on."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from trajlab import TrajlabError
from trajlab.record import rows as module
from trajlab.record.failures import Failures
from trajlab.record.rows import Rows


def rows_of(strict: bool) -> tuple[Rows, list[Any], list[Any]]:
    """Return rows whose writer refuses what is below 0, and what is written and mirrored."""
    written: list[Any] = []
    mirrored: list[Any] = []

    def append(table: str, values: Any) -> None:
        if values["x"] < 0:
            raise TrajlabError("below 0")
        written.append(values["step"])

    writer: Any = SimpleNamespace(append=append, path="run.h5")
    mirror: Any = SimpleNamespace(append=lambda table, values: mirrored.append(values["step"]))
    return Rows(writer, mirror, Failures(strict)), written, mirrored


def test_a_row_that_is_refused_is_told_and_the_others_are_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows, written, mirrored = rows_of(strict=False)
    for step, x in enumerate([1, -1, 1]):
        rows.append("losses", {"step": step, "x": x})
    rows.hand_over()
    assert written == mirrored == [0, 2]
    (told,) = caplog.messages
    assert "could not record a row of losses: below 0" in told
    assert "the row of step 1 is left out of the table" in told


def test_a_row_that_is_refused_ends_strict_training_and_is_not_tried_again() -> None:
    rows, written, _ = rows_of(strict=True)
    for step, x in enumerate([-1, 1]):
        rows.append("losses", {"step": step, "x": x})
    with pytest.raises(TrajlabError, match="below 0"):
        rows.hand_over()
    rows.hand_over()
    assert written == [1]


@pytest.mark.parametrize(("seconds", "held"), [(0.0, 63), (1.0, 63), (1.1, 0)])
def test_rows_wait_until_they_are_many_or_a_second_is_over(
    monkeypatch: pytest.MonkeyPatch, seconds: float, held: int
) -> None:
    now = [50.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    rows, written, _ = rows_of(strict=True)
    for step in range(62):
        rows.append("losses", {"step": step, "x": 1})
    now[0] += seconds
    rows.append("losses", {"step": 62, "x": 1})
    assert len(written) == 63 - held
    rows.append("losses", {"step": 63, "x": 1})
    # the 64th hands all over; those after a second wait anew
    assert len(written) == (64 if held else 63)
    rows.hand_over()
    assert written == list(range(64))


def test_values_come_as_the_writer_takes_them() -> None:
    """A third of a float64 keeps all its digits; whole numbers and flags stay what they are."""
    third = torch.tensor(1 / 3, dtype=torch.float64, requires_grad=True)
    assert module._plain(third) == 1 / 3
    assert module._plain(lambda: third) == 1 / 3
    assert module._plain(torch.tensor(0.5, dtype=torch.bfloat16)).dtype == np.float64
    assert module._plain(torch.tensor([2**60 + 1])) == [2**60 + 1]
    assert module._plain(torch.tensor(True)) is True
    assert module._plain("text") == "text"
