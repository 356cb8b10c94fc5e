"""Trains what is missing of a study, on any executor of `concurrent.futures`."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from dataclasses import dataclass, field

from trajlab.errors import TrajlabError
from trajlab.study.file import Study
from trajlab.study.run import Run
from trajlab.study.selection import runs

LOSSES = 3  # of workers in a row, without a run finished in between


@dataclass
class Progress:
    """What is told while a study is trained; a subclass shows it."""

    failures: dict[str, list[Run]] = field(default_factory=dict)

    def wanted(self, run: Run) -> None:
        """Take note of a run that is to be trained."""

    def finished(self, run: Run, seconds: float) -> None:
        """Take note of a run that is complete."""

    def failed(self, run: Run, sentence: str) -> None:
        """Take note of a run that could not be trained."""
        self.failures.setdefault(sentence, []).append(run)

    def lost(self, attempt: int) -> None:
        """Take note of a worker that died; its run goes on from its checkpoint."""


def train(study: Study, start: Callable[[], Executor], progress: Progress) -> None:
    """Train every run that is not finished, in the order of the stages.

    A stage that depends on a choice waits for the runs that it is made from. A run that fails is
    told and the others go on; if workers are lost, a new executor is started for what is left.

    Parameters
    ----------
    study
        What to train.
    start
        Makes an executor.
    progress
        Is told what happens.

    Raises
    ------
    TrajlabError
        If workers are lost again and again.
    """
    waiting: list[Run] = []
    for stage in study.stages:
        if stage.sources:
            _train(waiting, start, progress)
            waiting = []
        found = runs(study, stage)
        if found is None:
            raise TrajlabError(
                f"stage {stage.name!r} of {study.file} needs runs that failed; mend what is told "
                "above and run the study again"
            )
        known = {run.path for run in waiting}
        waiting += [run for run in found if run.path not in known and run.trajectory() is None]
    _train(waiting, start, progress)


def _train(wanted: list[Run], start: Callable[[], Executor], progress: Progress) -> None:
    left = list(wanted)
    losses = 0
    for run in left:
        progress.wanted(run)
    while left:
        with start() as executor:
            futures: dict[Future[float], Run] = {executor.submit(run.train): run for run in left}
            try:
                pending = set(futures)
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        run = futures[future]
                        try:
                            progress.finished(run, future.result())
                            losses = 0
                        except (TrajlabError, OSError) as error:
                            progress.failed(run, str(error))
                        left.remove(run)
            except BrokenExecutor as error:
                losses += 1
                if losses == LOSSES:
                    raise TrajlabError(
                        f"{LOSSES} workers were lost without a run finished in between (out of "
                        "memory?); finished runs are kept: use fewer workers"
                    ) from error
                progress.lost(losses)
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                for child in multiprocessing.active_children():
                    child.terminate()
                raise


def local(workers: int) -> Callable[[], Executor]:
    """Return what starts processes on this machine.

    Parameters
    ----------
    workers
        Runs trained at a time.
    """
    context = multiprocessing.get_context("spawn")
    return lambda: ProcessPoolExecutor(workers, context, _begin)


def _begin() -> None:
    """Leave Ctrl-C to the study, and end when it ends, however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
