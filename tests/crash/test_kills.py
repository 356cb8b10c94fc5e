"""Random kills in chains of resume: nothing unreadable, wrong, or lost that was acknowledged."""

import os
import time
from collections import Counter

import numpy as np

from tests.crash.trainer import ROWS, TASKS, Expected, Progress, kill, read, victim
from trajlab.store import Trajectory, Writer

KILLS = int(os.environ.get("TRAJLAB_KILLS", "50"))
CHAIN = 25  # kills of one run


def test_random_kills_in_chains_of_resume(tmp_path):
    generator = np.random.default_rng(0)
    told = tmp_path / "progress"
    progress = Progress(told)
    phases: Counter[str] = Counter()
    lost = 0
    for chain in range(max(1, KILLS // CHAIN)):
        path = tmp_path / f"{chain}.h5"
        before = Expected()
        for session in range(min(CHAIN, KILLS)):
            # resume where the rows end, or from an earlier checkpoint
            last = len(before.losses)
            step = last if generator.random() < 0.5 else int(generator.integers(0, last + 1))
            process = victim(path, told, session, step)
            wait_for(generator.choice(["recover", "append", "merge", "rotate"]), progress, step)
            assert process.is_alive()
            time.sleep(generator.uniform(0, 0.02))
            kill(process)
            phases[progress.phase] += 1
            after = read(path)
            check(before, after, session, step, progress)
            lost = max(lost, progress.appended - max(len(after.losses), step))
            before = after
        Writer(path, TASKS, resume=True).close()
        assert read(path) == before
        assert Trajectory(path).status == "complete"
    print(f"{sum(phases.values())} kills: {dict(phases)}; at most {lost} steps lost")
    assert lost <= ROWS
    assert {"recover", "flush", "merge", "rotate"} <= set(phases)


def wait_for(phase, progress, step):
    """Wait until the victim that began at `step` recovers, records, or merges."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if (
            phase == "recover"
            or (phase == "append" and progress.appended > step)
            or progress.phase == phase
        ):
            return
        time.sleep(0.0002)


def check(before, after, session, step, progress):
    """Assert that a session that began at `step` took nothing away and added a prefix of its own.

    Until its first flush the rows it resumed over still stand.
    """
    if after == before:
        assert progress.acknowledged == step
        return
    kept = before.resumed(step)
    trained = len(after.losses)
    assert progress.acknowledged <= trained <= progress.appended
    assert after.losses == (*kept.losses, *[session] * (trained - step))
    old = kept.test or (-1,)
    assert after.test == (*old, *[session] * (trained + 1 - len(old)))
