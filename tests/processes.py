"""Processes that fork from one which has the slow imports behind it, and has no threads."""

import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

ROOT = Path(__file__).parents[1]

processes = get_context("forkserver")
processes.set_forkserver_preload(
    ["tests.crash.trainer", "tests.models", "trajlab.report.page", "trajlab.study.run"]
)


def _run(script: str, arguments: list[str], folder: Path, said: Path) -> None:
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


def said_by(script: Path, arguments: Sequence[object], folder: Path) -> str:
    """Run a script in a folder as ``python SCRIPT ARGUMENTS`` does, and return what it prints."""
    said = folder / f"{script.stem}.said"
    process = processes.Process(
        target=_run, args=(str(script), [*map(str, arguments)], folder, said)
    )
    process.start()
    assert ended(process) == 0, said.read_text()[-3000:]
    return said.read_text()


def ended(process: BaseProcess, seconds: float = 180) -> int | None:
    """Wait for a process, and return its exit code; one that hangs is killed."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join(10)
    return process.exitcode


def torchrun(script: Path, *arguments: object, expected: int = 0) -> None:
    """Run a script in two processes that torchrun starts."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, *map(str, (script, *arguments))],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == expected, done.stderr[-3000:]
