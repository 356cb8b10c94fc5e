"""Kills in chains of resume, in a process that can be stopped and goes on where it was.

python -m tests.crash.kills 10000 kills.jsonl
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.crash.place import memory
from tests.crash.trainer import COLUMNS, ROWS, TASKS, Expected, Progress, kill, read, victim
from trajlab.store import Trajectory, Writer, parts

CHAIN = 25  # kills of one run
LATEST = 0.01  # seconds after the victim has reached what was waited for


@dataclass
class Outcome:
    """What became of the run of one chain."""

    places: Counter[str] = field(default_factory=Counter)  # kills by what the victim was doing
    lost: int = 0  # rows at most that were recorded, and not acknowledged, when a kill took them


def chain(folder: Path, number: int, kills: int = CHAIN) -> Outcome:
    """Kill one run over and over, and assert after each kill that all stands that must.

    Parameters
    ----------
    folder
        An empty one.
    number
        Of the chain: its seed, and the number of tables less one, modulo 8.
    kills
        How many.
    """
    generator = np.random.default_rng(number)
    tables = tuple(COLUMNS)[: 1 + number % len(COLUMNS)]
    path, told = folder / "run.h5", folder / "progress"
    progress = Progress(told)
    outcome = Outcome()
    before = Expected()
    for session in range(kills):
        # resume where the rows end, or from an earlier checkpoint
        last = len(before.losses)
        step = last if generator.random() < 0.5 else int(generator.integers(0, last + 1))
        victims = ["recover", "append", "flush", "rotate", "seal"]
        if len(parts.numbers(path)) >= 3:
            victims.append("merge")
        process = victim(path, told, session, step, tables)
        wait_for(generator.choice(victims), progress, step)
        time.sleep(generator.choice([0, generator.uniform(0, LATEST)]))
        assert process.is_alive()
        kill(process)
        outcome.places[progress.phase] += 1
        after = read(path)
        check(before, after, session, step, progress)
        outcome.lost = max(outcome.lost, progress.appended - max(len(after.losses), step))
        before = after
    Writer(path, TASKS, resume=True).close()
    assert read(path) == before
    assert Trajectory(path).status == "complete"
    return outcome


def wait_for(phase: str, progress: Progress, step: int) -> None:
    """Wait until the victim that began at `step` is where it shall be killed."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (
            phase == "recover"
            or (phase == "append" and progress.appended > step)
            or progress.phase == phase
        ):
            return
        time.sleep(0.0001)


def check(before: Expected, after: Expected, session: int, step: int, progress: Progress) -> None:
    """Assert that a session that began at `step` took nothing away and added a prefix of its own.

    Until its first flush the rows it resumed over still stand.
    """
    if after == before:
        assert progress.acknowledged == step
        return
    kept = before.resumed(step)
    trained = len(after.losses)
    assert progress.acknowledged <= trained <= progress.appended
    assert progress.appended - trained <= ROWS
    assert after.losses == (*kept.losses, *[session] * (trained - step))
    if after.test:
        old = kept.test or (-1,)
        assert after.test == (*old, *[session] * (trained + 1 - len(old)))


def main() -> None:
    """Run chains, a line each in a file; those that stand there already are not run again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int)
    parser.add_argument("log", type=Path)
    options = parser.parse_args()
    lines = options.log.read_text().splitlines() if options.log.exists() else []
    done = {facts["chain"]: facts for facts in map(json.loads, lines)}
    for number in range(options.kills // CHAIN):
        if number in done:
            continue
        with tempfile.TemporaryDirectory(dir=memory()) as name:
            facts = {"chain": number, "tables": 1 + number % len(COLUMNS)}
            try:
                outcome = chain(Path(name), number)
                facts |= {"places": outcome.places, "lost": outcome.lost}
            except Exception as error:  # told and counted; the others are run all the same
                facts |= {"failed": f"{type(error).__name__}: {error}"}
        done[number] = facts
        with options.log.open("a") as file:
            file.write(json.dumps(facts) + "\n")
    places: Counter[str] = Counter()
    for facts in done.values():
        places.update(facts.get("places", {}))
    failed = [facts for facts in done.values() if "failed" in facts]
    print(f"{places.total()} kills in {len(done)} chains: {dict(places)}; failed: {failed}")


if __name__ == "__main__":
    main()
