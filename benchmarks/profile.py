"""Where a method's step spends what it takes more than the plain step.

``python -m benchmarks.profile WORKLOAD TASKS METHOD`` prints the operations of torch that take more
time than in a plain step, and the functions of trajlab that take most, in ms a step. A profile is
slower than what it profiles, functions more than operations: shares count, not sums.
"""

import argparse
import cProfile
import pstats
import tempfile
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

import trajlab
from benchmarks.gram_ways import Lane
from benchmarks.workloads import WORKLOADS

PACKAGE = str(Path(trajlab.__file__).parent)


def operations(lane: Lane, steps: int) -> dict[str, float]:
    """Return the ms a step that each operation takes by itself."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(steps):
            lane.step()
    return {e.key: e.self_cpu_time_total / 1e3 / steps for e in profiled.key_averages()}


def functions(lane: Lane, steps: int) -> dict[str, tuple[float, float, float]]:
    """Return calls a step, ms in each function of trajlab itself, and with all that it calls."""
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(steps):
        lane.step()
    profiler.disable()
    return {
        f"{Path(path).relative_to(PACKAGE)} {name}": (
            calls / steps,
            1e3 * own / steps,
            1e3 * whole / steps,
        )
        for (path, _, name), (_, calls, own, whole, _) in pstats.Stats(profiler).stats.items()
        if path.startswith(PACKAGE)
    }


def main() -> None:
    """Profile a method beside the plain step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("tasks", type=int)
    parser.add_argument("method", help="as in the first column of the tables of `benchmarks.gram`")
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, x = WORKLOADS[given.workload](given.tasks)
    with tempfile.TemporaryDirectory() as folder:
        plain, lane = (Lane(n, model, x, folder, own=False) for n in ("plain", given.method))
        for _ in range(3):
            plain.step(), lane.step()
        base, found = operations(plain, given.steps), operations(lane, given.steps)
        called = functions(lane, given.steps)
        lane.close()
    print(f"plain step {sum(base.values()):.2f} ms, {given.method} {sum(found.values()):.2f} ms")
    more = {name: found.get(name, 0) - base.get(name, 0) for name in {*base, *found}}
    print("\noperation: ms more than in the plain step")
    for name in sorted(more, key=more.__getitem__, reverse=True)[:12]:
        print(f"{more[name]:8.3f}  {name}")
    print("\nfunction: calls, ms by itself, ms with what it calls")
    for name in sorted(called, key=lambda name: called[name][1], reverse=True)[:16]:
        print("{:8.1f} {:8.3f} {:8.3f}  ".format(*called[name]) + name)


if __name__ == "__main__":
    main()
