"""Every command of `trajlab` on one damaged run beside good ones, in a forked process each.

python -m tests.crash.commands 1000 commands.jsonl
"""

import json
import os
import resource
import shutil
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.crash.hostile import GOLDEN, Inputs, facts_of, outcome, record, through_inputs
from tests.crash.place import memory
from trajlab.cli.main import main as trajlab

SECONDS = 10
COPY = "copy"
PIECE = 10  # inputs a line of the log
FOLDER = ["--baseline", "method=stl", "--json"]


def commands(folder: Path, run: Path, out: Path) -> dict[str, list[str]]:
    """Return the arguments of every command that reads a trajectory.

    Parameters
    ----------
    folder
        The damaged run and good ones.
    run
        The damaged one.
    out
        Where to write.
    """
    runs, one = str(folder), str(run)
    page = ["--page", str(out / "p.html"), "--force"]
    return {
        "info": ["info", runs, "--json"],
        "gap": ["gap", runs, *FOLDER, "--metric", "loss"],
        "conflict": ["conflict", runs, "--json"],
        "factors": ["factors", runs, *FOLDER],
        "front": ["front", runs, *FOLDER],
        "correlate": ["correlate", runs, "--x", "min_train_loss", "--y", "seed", "--json"],
        "geometry": ["geometry", runs, "--json"],
        "diagnose": ["diagnose", runs, "--baseline", "method=stl", *page],
        "watch": ["watch", one, "--once"],
        "export lines": ["export", runs, "--out", str(out / "e.jsonl")],
        "export table": ["export", runs, "--table", "losses", "--out", str(out / "e.csv")],
        "export netCDF": ["export", runs, "--out", str(out / "e.nc")],
        "check": ["check", runs, "--json"],
        "repair": ["repair", one, str(out / "saved.h5")],
        "merge": ["merge", str(out / COPY / run.name)],  # it changes the run
    }


def forked(arguments: list[str]) -> dict[str, Any]:
    """Run a command in a fork of this process, and return how it ended and what it took."""
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(ours)
            resource.setrlimit(resource.RLIMIT_CPU, (2 * SECONDS, 2 * SECONDS))
            done = CliRunner().invoke(trajlab, arguments)
            raised = not isinstance(done.exception, SystemExit | None)
            said = {
                "code": done.exit_code,
                "out": done.stdout,
                "err": done.stderr,
                "error": "".join(traceback.format_exception(done.exception)) if raised else "",
            }
            with os.fdopen(its, "w") as pipe:
                json.dump(said, pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(its)
    began = time.perf_counter()
    with os.fdopen(ours) as pipe:
        told = pipe.read()
    _, status, used = os.wait4(pid, 0)
    answer = json.loads(told) if told else {"error": f"ended by {status}"}
    own = used.ru_utime + used.ru_stime
    waited = time.perf_counter() - began
    return {**answer, "cpu": own, "seconds": waited, "MiB": used.ru_maxrss / 1024}


def judged(word: str, answer: dict[str, Any]) -> str:
    """Say in a word how a command dealt with a run of which a reader is told `word`."""
    if answer["error"]:
        return "traceback" if "Traceback" in answer["error"] else "crash"
    if "\x1b" in answer["out"] + answer["err"]:
        return "escape sequence"
    if answer["cpu"] > SECONDS:
        return "hang"
    if answer["MiB"] > 1024:
        return "memory"
    words = ("damaged", " is lost", " are lost")
    told = answer["code"] or answer["err"] or any(word in answer["out"] for word in words)
    if word == "told" and not told:
        return "silent"
    return "told" if told else "fine"


def through_every_command(inputs: Inputs, first: int, count: int) -> dict[str, Any]:
    """Give some inputs to every command, and return how often what came of them."""
    outcomes: Counter[str] = Counter()
    bad: list[tuple[int, str, str]] = []
    longest = most = 0.0
    for number in range(first, first + count):
        _, path = inputs.put(number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            word = outcome(path, inputs.truth[path])
        with tempfile.TemporaryDirectory(dir=memory()) as out:
            shutil.copytree(path.parent, Path(out, COPY))
            for name, arguments in commands(path.parent, path, Path(out)).items():
                answer = forked(arguments)
                longest, most = max(longest, answer["cpu"]), max(most, answer["MiB"])
                said = judged(word, answer)
                if said == "silent" and reads_nothing_damaged(inputs, number, name):
                    said = "fine"
                outcomes[f"{name}: {said}"] += 1
                if said not in ("fine", "told"):
                    bad.append((number, name, answer["error"] or said))
    return facts_of(first, count, outcomes, bad, longest, most)


def reads_nothing_damaged(inputs: Inputs, number: int, name: str) -> bool:
    """Tell whether a command says and writes the same of the damaged run and of it as it was.

    A column is checked when it is read: a command that does not read it has nothing to tell.
    """
    answers = []
    for put in (inputs.restore, inputs.put):  # it stays damaged
        _, path = put(number)
        with tempfile.TemporaryDirectory(dir=memory()) as folder:
            out = Path(folder)
            shutil.copytree(path.parent, out / COPY)
            answer = forked(commands(path.parent, path, out)[name])
            said = (answer[key].replace(folder, "") for key in ("out", "err"))
            files = [file for file in out.iterdir() if file.is_file() and file.suffix != ".html"]
            wrote = {file.name: file.read_bytes() for file in files}  # a page tells the hour
            answers.append((answer["code"], *said, wrote))
    return answers[0] == answers[1]


def prepared(folder: Path) -> Inputs:
    """Make the runs, and import all that commands use, so that a fork of this process has it."""
    inputs = Inputs(folder, GOLDEN)
    for path in inputs.truth:
        for seed in (1, 2):
            record(path.with_name(f"stl{seed}.h5"), "stl", seed)
        record(path.with_name("mtl.h5"), "mtl", 2)
    whole = next(iter(inputs.truth))
    with tempfile.TemporaryDirectory(dir=memory()) as out:
        for arguments in commands(whole.parent, whole, Path(out)).values():
            CliRunner().invoke(trajlab, arguments)
    return inputs


if __name__ == "__main__":
    through_inputs(__doc__, prepared, through_every_command, PIECE)
