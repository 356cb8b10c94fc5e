"""Rows between the probes and the writer: what cannot be written is told, and the rest goes on."""

from types import SimpleNamespace
from typing import Any

import pytest

from trajlab import TrajlabError
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
