"""A process that records as fast as it can, to be killed: the victim of the tests here."""

import os
import signal
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import trajlab.store.journal
import trajlab.store.resume
from tests.processes import processes
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer, standard

TASKS = ["left", "right"]
PHASES = ("recover", "append", "flush", "rotate", "seal", "merge")
ROWS = 3  # a flush
# tables, and in each the column in which a row says its step and session
COLUMNS = {
    "losses": "loss",
    "evaluations/test": "loss",
    "hessian": "top",
    "gradients": "update_dot",
    "evaluations/train": "loss",
    "fisher": "trace",
    "evaluations/validation": "loss",
    "noise": "noise_scale",
}
TWO = ("losses", "evaluations/test")


@dataclass(frozen=True)
class Expected:
    """What a run holds: the session that wrote each step from 0 on, of updates and evaluations."""

    losses: tuple[int, ...] = ()
    test: tuple[int, ...] = ()

    def resumed(self, step: int) -> "Expected":
        """What is left when a session resumed from `step` publishes."""
        return Expected(self.losses[:step], self.test[: step + 1])


def start(path: Path, session: int, step: int, tables: Sequence[str] = TWO) -> Writer:
    """Begin a session that trains from `step` on."""
    writer = Writer(path, TASKS, resume=True, from_step=step if session else None)
    for name in tables:
        further = {"layer": ["trunk"]} if name == "gradients" else {}
        writer.declare(standard(name, task=TASKS, **further))
    return writer


def append(writer: Writer, session: int, step: int, tables: Sequence[str] = TWO) -> None:
    """Record the update of `step` and evaluations after it."""
    for name in tables:
        at = step + 1 if name.startswith("evaluations") else step
        row = {"step": at, COLUMNS[name]: [at, session]}
        if name == "hessian":
            row["reason"] = [f"{at}", "é"]
        writer.append(name, row)


def read(path: Path) -> Expected:
    """Read a run and assert that its rows are whole, gapless, in order, and alike in all tables."""
    try:
        run = Trajectory(path)
    except TrajlabError as error:
        if "holds nothing yet" in str(error) or "does not exist" in str(error):
            return Expected()
        raise
    assert run.problems == ()
    found: dict[str, tuple[int, ...]] = {}
    for name in run.tables:
        table = run.table(name)
        first = 1 if table.declared.kind == "evaluation" else 0
        steps, values = table["step"], table[COLUMNS[name]]
        assert steps.tolist() == list(range(first, first + len(steps)))
        np.testing.assert_array_equal(values[:, 0], steps)
        if name == "hessian":
            assert table["reason"].tolist() == [[f"{step}", "é"] for step in steps]
        sessions = tuple(values[:, 1].astype(int).tolist())
        assert sessions == found.setdefault(table.declared.kind, sessions)
    test = found.get("evaluation", ())
    # evaluations begin at step 1: a placeholder makes the index the step
    return Expected(found.get("training", ()), (-1, *test) if test else ())


class Progress:
    """What the victim says about itself, in memory that outlives it."""

    def __init__(self, file: Path) -> None:
        self._cells = np.memmap(file, np.int64, "r+" if file.exists() else "w+", shape=(3,))

    @property
    def phase(self) -> str:
        return PHASES[self._cells[0]]

    @phase.setter
    def phase(self, name: str) -> None:
        self._cells[0] = PHASES.index(name)

    @property
    def appended(self) -> int:
        """Steps recorded up to here, or the step that the session began with."""
        return int(self._cells[1])

    @property
    def acknowledged(self) -> int:
        """Steps that a returned flush has promised to keep."""
        return int(self._cells[2])

    def begin(self, step: int) -> None:
        self._cells[:] = 0, step, step

    def append(self, step: int) -> None:
        self._cells[1] = step

    def acknowledge(self, step: int) -> None:
        self._cells[2] = step


@contextmanager
def _phase(progress: Progress, name: str):
    before, progress.phase = progress.phase, name
    yield
    progress.phase = before


def record_for_ever(path: Path, told: Path, session: int, step: int, tables: Sequence[str]) -> None:
    """Record until killed: append, flush, rotate, seal and resume, over and over."""
    trajlab.store.resume.MERGE_PARTS = 3
    trajlab.store.journal.ROTATE_BYTES = 6000
    progress = Progress(told)
    publish = trajlab.store.journal.merge

    def seal(*arguments: object) -> tuple[str, ...]:
        with _phase(progress, "seal"):
            return publish(*arguments)

    def merge(*arguments: object) -> tuple[str, ...]:  # what the sessions before have left
        with _phase(progress, "merge"):
            return publish(*arguments)

    seal_one = trajlab.store.journal.seal_log

    def seal_log(*arguments: object) -> None:
        with _phase(progress, "rotate"):
            seal_one(*arguments)

    trajlab.store.resume.merge = merge
    trajlab.store.journal.merge = seal
    trajlab.store.journal.seal_log = seal_log
    writer = start(path, session, step, tables)
    progress.phase = "append"
    while True:
        for _ in range(ROWS):
            progress.append(step + 1)
            append(writer, session, step, tables)
            step += 1
        with _phase(progress, "flush"):
            writer.flush()
        progress.acknowledge(step)
        if step % 5 == 0:
            writer.close("recording")
            progress.phase = "recover"
            writer = Writer(path, TASKS, resume=True)
            progress.phase = "append"


def victim(path: Path, told: Path, session: int, step: int, tables: Sequence[str] = TWO):
    """Start a process in `record_for_ever`."""
    Progress(told).begin(step)
    arguments = (path, told, session, step, tables)
    process = processes.Process(target=record_for_ever, args=arguments)
    process.start()
    return process


def kill(process) -> None:
    """End a process as a power switch would, and reap it."""
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    process.close()
