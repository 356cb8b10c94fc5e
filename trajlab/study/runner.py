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
from pathlib import Path
from typing import Any

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

    def skipped(self, run: Run, sentence: str) -> None:
        """Take note of a run that failed in an earlier call, and is left so."""

    def lost(self, attempt: int) -> None:
        """Take note of a worker that died; its run goes on from its checkpoint."""


@dataclass(frozen=True)
class Engine:
    """Where runs are trained.

    Attributes
    ----------
    start
        Function that makes an executor for runs.
    lost
        The errors by which it tells that a worker died.
    """

    start: Callable[[], Executor]
    lost: tuple[type[Exception], ...] = (BrokenExecutor,)


def train(study: Study, engine: Engine, progress: Progress, *, retry: bool = False) -> None:
    """Train every run that is not finished, in the order of the stages.

    A stage that depends on a choice waits for the runs that it is made from. A run that fails is
    told and the others go on; one that ended in an error counts as tried and is not chosen. If
    workers are lost, a new executor is started for what is left; a run that loses them again and
    again, trained alone, has failed.

    Parameters
    ----------
    study
        What to train.
    engine
        Where to train.
    progress
        Is told what happens.
    retry
        Whether to train runs again that failed in an earlier call.

    Raises
    ------
    TrajlabError
        If workers are lost again and again, whatever they train.
    """
    waiting: list[Run] = []
    seen: set[Path] = set()
    for stage in study.stages:
        wanted = runs(study, stage)
        if wanted is None:
            _train(waiting, engine, progress)
            waiting = []
            wanted = runs(study, stage)
        if wanted is None:
            raise TrajlabError(
                f"stage {stage.name!r} of {study.file} needs runs that failed; mend what is told "
                "above and run the study again"
            )
        for run in wanted:
            if run.path in seen:
                continue
            seen.add(run.path)
            if retry:
                run.retry()
            if sentence := run.failure:
                progress.skipped(run, sentence)
            elif run.trajectory() is None:
                waiting.append(run)
    _train(waiting, engine, progress)


def _train(wanted: list[Run], engine: Engine, progress: Progress) -> None:
    left = list(wanted)
    losses = given_up = 0
    for run in left:
        progress.wanted(run)
    while left:
        alone = left[:1] if losses else left  # so that it is known which run takes its worker along
        with engine.start() as executor:
            futures: dict[Future[float], Run] = {executor.submit(run.train): run for run in alone}
            try:
                pending = set(futures)
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in sorted(
                        done, key=_ended_in_error
                    ):  # what is finished counts first
                        run = futures[future]
                        try:
                            progress.finished(run, future.result())
                        except (TrajlabError, OSError) as error:
                            progress.failed(run, str(error))
                        left.remove(run)
                        losses = given_up = 0
            except engine.lost as error:
                losses += 1
                progress.lost(losses)
                if losses <= LOSSES:
                    continue
                if given_up:
                    raise TrajlabError(
                        f"{LOSSES} workers were lost without a run finished in between, and so for "
                        "a second run (out of memory?); finished runs are kept: use fewer workers"
                    ) from error
                run = left.pop(0)
                run.fail(f"{LOSSES} workers died of it, trained alone (out of memory?)")
                progress.failed(run, f"{run.failure}; --retry trains it again")
                losses, given_up = 0, given_up + 1
            except BaseException:
                stop(executor)
                raise


def _ended_in_error(future: Future[float]) -> bool:
    return future.exception() is not None


def local(workers: int) -> Engine:
    """Return processes on this machine.

    Parameters
    ----------
    workers
        Runs trained at a time.
    """
    # A worker starts from a server that has loaded torch, no thread and no CUDA.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([Run.__module__])
    return Engine(lambda: ProcessPoolExecutor(workers, context, _begin))


def stop(executor: Executor) -> None:
    """End what an executor does at once; trained runs go on from their checkpoints.

    Parameters
    ----------
    executor
        One that an `Engine` started.
    """
    executor.shutdown(wait=False, cancel_futures=True)
    for child in multiprocessing.active_children():
        child.terminate()


def cluster(address: str) -> Engine:
    """Return a Dask cluster that exists already; it sees the same files as this machine.

    Parameters
    ----------
    address
        Address of its scheduler.

    Raises
    ------
    TrajlabError
        If Dask is missing or does not answer, or a worker has several threads: runs seed random
        streams that belong to the whole process.
    """
    try:
        from distributed import Client, KilledWorker
    except ModuleNotFoundError as error:
        raise TrajlabError("Dask is missing; pip install 'trajlab[dask]'") from error
    try:
        client: Any = Client(address, timeout=10)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise TrajlabError(f"no Dask scheduler answers at {address}; start one there") from error
    if any(threads > 1 for threads in client.nthreads().values()):
        raise TrajlabError(
            f"a worker at {address} has several threads; start workers with --nthreads 1"
        )
    return Engine(lambda: client.get_executor(pure=False), (KilledWorker, BrokenExecutor))


def _begin() -> None:
    """Leave Ctrl-C to the study, and end when it ends, however it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
