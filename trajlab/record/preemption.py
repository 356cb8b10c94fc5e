"""SIGTERM: a cluster's word that the process will be ended."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from trajlab.errors import TrajlabError

_logger = logging.getLogger("trajlab")


class Preemption:
    """Seals what is recorded on SIGTERM, then lets it do what it would have done without.

    Used as a context around whatever must not be interrupted: a signal that comes meanwhile is
    answered right after. Signals can be handled in the main thread only; elsewhere this waits for
    none. A forked process seals nothing.

    Parameters
    ----------
    seal : callable
        Writes what is buffered.
    """

    def __init__(self, seal: Callable[[], None]) -> None:
        self._seal = seal
        self._pid = os.getpid()
        self._depth = 0
        self._pending = False
        self._users: Any = None  # the handler that was there before
        self._active = threading.current_thread() is threading.main_thread()
        if self._active:
            # one object, so that it is known again
            self._handler = self._received
            self._users = signal.signal(signal.SIGTERM, self._handler)

    def stop(self) -> None:
        """Give SIGTERM back to the user's own handler."""
        if self._active and os.getpid() == self._pid:
            self._active = False
            main = threading.current_thread() is threading.main_thread()
            if main and signal.getsignal(signal.SIGTERM) is self._handler:
                signal.signal(signal.SIGTERM, self._users or signal.SIG_DFL)

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._pending and not self._depth:
            self._answer(None)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if self._depth and os.getpid() == self._pid:
            self._pending = True
        else:
            self._answer(frame)

    def _answer(self, frame: FrameType | None) -> None:
        self._pending = False
        try:
            if self._active and os.getpid() == self._pid:
                with self:
                    self._seal()
        except TrajlabError as error:  # the process ends anyway
            _logger.error("trajlab could not seal a run on SIGTERM: %s", error)
        finally:
            self.stop()
            if callable(self._users):
                self._users(signal.SIGTERM, frame)
            elif self._users is not signal.SIG_IGN:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGTERM)
