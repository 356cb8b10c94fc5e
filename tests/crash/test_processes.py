"""Readers beside the writer, workers that outlive it, forks, signals, ranks."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.crash.trainer import TASKS, Progress, kill, read, start, victim
from tests.processes import processes
from trajlab.store import Trajectory, Writer


def test_a_live_reader_never_fails_and_never_reads_wrong(tmp_path):
    """Against a writer that flushes, merges, closes and resumes as fast as it can."""
    path, told = tmp_path / "run.h5", tmp_path / "progress"
    process = victim(path, told, 0, 0)
    progress = Progress(told)
    seen = 0
    reads = 0
    deadline = time.monotonic() + 60
    while (reads < 30 or seen < 30) and time.monotonic() < deadline:
        promised = progress.acknowledged
        found = read(path)  # asserts that rows are whole, gapless and in order
        assert len(found.losses) >= max(promised, seen)
        seen = len(found.losses)
        reads += 1
    assert process.is_alive()
    kill(process)
    print(f"{reads} reads while {seen} rows were written")
    assert reads >= 30
    assert seen >= 30


def _with_orphan(path, told, orphans):
    writer = start(path, 0, 0)
    worker = os.fork()  # as a DataLoader does: it holds a copy of the writer's descriptors
    if worker == 0:
        time.sleep(60)
        os._exit(0)
    orphans.put(worker)
    writer.append("losses", {"step": 0, "loss": [0, 0]})
    writer.append("evaluations/test", {"step": 1, "loss": [1, 0]})
    writer.flush()
    Progress(told).acknowledge(1)
    time.sleep(60)


def test_a_killed_trainer_with_an_orphan_worker_can_be_resumed(tmp_path):
    path, told = tmp_path / "run.h5", tmp_path / "progress"
    progress = Progress(told)
    progress.begin(0)
    orphans = processes.SimpleQueue()
    process = processes.Process(target=_with_orphan, args=(path, told, orphans))
    process.start()
    worker = orphans.get()
    try:
        while progress.acknowledged == 0:
            time.sleep(0.01)
        kill(process)
        os.kill(worker, 0)  # still alive, with the descriptor of the lock
        Writer(path, TASKS, resume=True).close()
        assert len(read(path).losses) == 1
    finally:
        os.kill(worker, signal.SIGKILL)


RECORD = """
import os, signal, sys, torch
from torch import nn
from trajlab import Recorder

path = sys.argv[1]
model = nn.Linear(2, 2)

def train(recorder, steps):
    for _ in range(steps):
        left, right = model(torch.ones(1, 2))[0]
        recorder.backward({"left": left, "right": right})
"""


def run(code, path):
    return subprocess.run(
        [sys.executable, "-c", RECORD + textwrap.dedent(code), str(path)],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("handler", "exit_code", "said"),
    [
        ("", -signal.SIGTERM, ""),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))", 7, ""),
        (
            "signal.signal(signal.SIGTERM, lambda *_: print('mine', flush=True))",
            0,
            "mine\nmine\nafter\n",
        ),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", 0, "after\n"),
    ],
)
def test_sigterm_seals_and_then_does_what_the_user_wanted(tmp_path, handler, exit_code, said):
    code = f"""
    {handler}
    recorder = Recorder(path, model, tasks=["left", "right"], shared=model)
    train(recorder, 5)
    os.kill(os.getpid(), signal.SIGTERM)
    train(recorder, 2)
    os.kill(os.getpid(), signal.SIGTERM)
    print("after", flush=True)
    recorder.close()
    """
    done = run(code, tmp_path / "run.h5")
    assert (done.returncode, done.stdout) == (exit_code, said), done.stderr
    found = Trajectory(tmp_path / "run.h5")
    assert len(found.table("losses")["step"]) == (7 if exit_code == 0 else 5)
    assert found.status == ("complete" if exit_code == 0 else "recording")


def test_sigterm_in_the_middle_of_a_flush_waits_for_its_end(tmp_path):
    code = """
    from trajlab.store import log
    sync = log._sync

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        sync(*arguments)

    recorder = Recorder(path, model, tasks=["left", "right"], shared=model)
    train(recorder, 5)
    log._sync = interrupted
    recorder.flush()
    print("not reached", flush=True)
    """
    done = run(code, tmp_path / "run.h5")
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, ""), done.stderr
    assert len(Trajectory(tmp_path / "run.h5").table("losses")["step"]) == 5


def test_a_worker_that_is_terminated_or_exits_changes_nothing(tmp_path):
    code = """
    recorder = Recorder(path, model, tasks=["left", "right"], shared=model)
    train(recorder, 5)
    for end in (lambda: os.kill(os.getpid(), signal.SIGTERM), recorder.close, sys.exit):
        child = os.fork()
        if child == 0:
            end()
            os._exit(0)
        os.waitpid(child, 0)
    assert os.listdir(path + ".parts") == [], os.listdir(path + ".parts")
    recorder.close()
    """
    done = run(code, tmp_path / "run.h5")
    assert done.returncode == 0, done.stderr
    assert len(Trajectory(tmp_path / "run.h5").table("losses")["step"]) == 5


def test_a_process_that_ends_without_closing_seals_its_run(tmp_path):
    code = """
    recorder = Recorder(path, model, tasks=["left", "right"], shared=model)
    train(recorder, 5)
    """
    done = run(code, tmp_path / "run.h5")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    found = Trajectory(tmp_path / "run.h5")
    assert found.status == "recording"
    assert len(found.table("losses")["step"]) == 5


def test_rank_0_writes_and_the_others_nothing(tmp_path):
    code = f"""
    import torch.distributed as dist
    import torch.multiprocessing as mp
    from torch.nn.parallel import DistributedDataParallel

    children = [os.fork() for _ in range(1)]
    rank = int(children[0] == 0)
    dist.init_process_group(
        "gloo", init_method="file://{tmp_path}/meet", rank=rank, world_size=2
    )

    def main():
        parallel = DistributedDataParallel(model)
        with Recorder(path, model, tasks=["left", "right"], shared=model) as recorder:
            for _ in range(3):
                left, right = parallel(torch.full((1, 2), float(rank)))[0]
                recorder.backward({{"left": left, "right": right}})
            recorder.evaluate("test", {{"left": {{"loss": float(rank)}}}})
            state = recorder.state_dict()
        assert state == {{"step": 3, "epoch": 1}}, state

    main()
    dist.destroy_process_group()
    if rank:
        os._exit(0)
    assert os.waitpid(children[0], 0)[1] == 0
    """
    done = run(code, tmp_path / "run.h5")
    assert done.returncode == 0, done.stderr
    found = Trajectory(tmp_path / "run.h5")
    assert found.table("losses")["step"].tolist() == [0, 1, 2]
    assert found.table("evaluations/test")["loss"][:, 0].tolist() == [0]


def test_gloo_s_threads_end_with_the_group(tmp_path):
    """One that outlives it may abort the process when the interpreter is torn down."""
    code = f"""
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    def threads():
        names = [open(f"/proc/self/task/{{n}}/comm").read() for n in os.listdir("/proc/self/task")]
        return [name for name in names if "gloo" in name]

    dist.init_process_group(
        "gloo", init_method="file://{tmp_path}/meet", rank=0, world_size=1
    )

    def main():
        parallel = DistributedDataParallel(model)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        with Recorder(
            path, parallel, tasks=["left", "right"], shared=model, optimizer=optimizer
        ) as recorder:
            left, right = parallel(torch.ones(1, 2))[0]
            recorder.backward({{"left": left, "right": right}})
            optimizer.step()

    main()
    assert threads()
    dist.destroy_process_group()
    assert not threads(), threads()
    """
    done = run(code, tmp_path / "run.h5")
    assert done.returncode == 0, done.stderr
