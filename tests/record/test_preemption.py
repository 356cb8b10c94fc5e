"""SIGTERM seals what is recorded, outside of what must not be interrupted."""

import logging
import signal
from collections.abc import Iterator

import pytest

from trajlab.errors import TrajlabError
from trajlab.record.preemption import Preemption


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What happened, in its order; the user has a handler that lets the process live."""
    happened: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: happened.append("user"))
    yield happened
    signal.signal(signal.SIGTERM, before)


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


def test_a_run_is_sealed_before_the_users_own_handler_is_called(said: list[str]) -> None:
    own = signal.getsignal(signal.SIGTERM)
    preemption = Preemption(lambda: said.append("sealed"))
    assert signal.getsignal(signal.SIGTERM) is not own
    terminate()
    assert said == ["sealed", "user"]
    assert signal.getsignal(signal.SIGTERM) is own  # nothing is left to be sealed
    preemption.stop()
    terminate()
    assert said == ["sealed", "user", "user"]


def test_what_must_not_be_interrupted_ends_before_the_signal_is_answered(said: list[str]) -> None:
    preemption = Preemption(lambda: said.append("sealed"))
    with preemption:
        with preemption:
            terminate()
            said.append("inside")
        said.append("still inside")
    assert said == ["inside", "still inside", "sealed", "user"]
    with preemption:
        pass
    assert said[4:] == []  # a signal is answered once


def test_a_second_signal_while_sealing_waits_for_it(said: list[str]) -> None:
    def seal() -> None:
        if not said:
            said.append("begins")
            terminate()
        said.append("sealed")

    Preemption(seal)
    terminate()
    assert said[:2] == ["begins", "sealed"]
    assert said[-2:] == ["user", "user"]  # who hears of both


def test_a_run_that_cannot_be_sealed_is_told_and_keeps_nobody_waiting(
    said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def seal() -> None:
        raise TrajlabError("the disk is full")

    Preemption(seal)
    with caplog.at_level(logging.ERROR, "trajlab"):
        terminate()
    assert said == ["user"]
    assert "could not seal a run on SIGTERM: the disk is full" in caplog.text


def test_a_process_that_ignores_the_signal_goes_on(said: list[str]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Preemption(lambda: said.append("sealed"))
    terminate()
    assert said == ["sealed"]
