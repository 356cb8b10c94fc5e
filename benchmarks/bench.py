"""Run the benchmarks that have targets, and write one table into ``benchmarks/README.md``.

Each part is the short form of its own benchmark; all together take under half an hour. Numbers are
CPU seconds, CPU time over that of plain training, MiB, or counts of products. ``--only PART``
measures some parts anew; the rows of the others stay as they were, with their dates. ``many``,
10,000 runs, is measured only so.
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import trajlab
from benchmarks import gram, large, light, scale
from benchmarks.workloads import WORKLOADS

HERE = Path(__file__).parent
README, KEPT = HERE / "README.md", HERE / "bench.json"
HELP = ("--help", "gap --help", "study run --help", "diagnose --help", "import csv --help")
PLAIN = "of the plain step"
Row = tuple[str, str, float, float | None, str]  # what, unit, measured, limit, beside it


def seconds(*arguments: str) -> float:
    """Return the CPU seconds of Python, at best of three."""
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # users keep what was compiled

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, *arguments]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(3))


def start_up(_: Path) -> Iterator[Row]:
    """Measure help, the import, and a look at the 15 runs that come with trajlab."""
    bare = f"Python and NumPy alone {seconds('-c', 'import numpy'):.2f}"
    for command in HELP:
        yield f"`trajlab {command}`", "s", seconds("-m", "trajlab", *command.split()), 0.3, bare
    yield "`import trajlab.analysis`", "s", seconds("-c", "import trajlab.analysis"), 0.5, bare
    runs = str(trajlab.datasets.folder("digits-two-tasks"))
    for command in ("info", "gap", "conflict"):
        yield f"`{command}` on 15 runs", "s", seconds("-m", "trajlab", command, runs), 1.2, ""


def analyses(folder: Path) -> Iterator[Row]:
    """Measure analyses of 1,000 runs and of a long one."""
    for name, limit in scale.TARGETS.items():
        long = name == "conflict"
        source = scale.long_run(folder, scale.STEPS) if long else scale.study(folder, 1_000)
        found = scale.measured(name, source, folder)
        what = f"`{name}` on {'100,000 steps × 30 layers × 8 tasks' if long else '1,000 runs'}"
        yield what, "s", found["seconds"], limit, ""
        yield f"{what}, peak memory", "MiB", found["mib"], 1000 if long else 1500, ""


def many(folder: Path) -> Iterator[Row]:
    """Measure whether analyses of 10,000 runs take ten times what those of 1,000 do."""
    for name in scale.TARGETS:
        if name == "conflict":
            continue
        few, found = (
            scale.measured(name, scale.study(folder, runs), folder) for runs in (1_000, 10_000)
        )
        ratio, limit = found["seconds"] / few["seconds"] / 10, 1.1
        took = f"{found['seconds']:.0f} s, 1,000 runs {few['seconds']:.1f} s"
        yield f"`{name}` on 10,000 runs", "of ten times 1,000 runs'", ratio, limit, took
        yield f"`{name}` on 10,000 runs, peak memory", "MiB", found["mib"], None, ""


def lights(_: Path) -> Iterator[Row]:
    """Measure what `probes.light()` costs."""
    for workload in WORKLOADS:
        whole, later = light.ratios(workload, quick=True)
        what = f"`light()`, {workload}, T = 3, from step 100 on"
        yield what, PLAIN, later, light.TARGET, f"the first 100 included {whole:.2f}"


def grams(_: Path) -> Iterator[Row]:
    """Measure Gram matrices, each beside the cheapest of the others."""
    for case in gram.cases(quick=True):
        rows = gram.cost(case)
        bounds = [row for row in rows if row["method"] == gram.BOUND]
        own = [row for row in rows if row["method"].startswith("trajlab")]
        others = [row for row in rows if row not in (*own, *bounds)]
        best = [min(others, key=lambda row: row["ratio"])] if others else []
        beside = ", ".join(f"{row['method']} {row['ratio']:.2f}" for row in best + bounds)
        for row in own:
            named = row["workload"], row["tasks"], row["method"]
            error = row.get("cosine_error")
            told = f"cosine error {error:.4f}; {beside}" if error is not None else beside
            way = row["method"].removeprefix("trajlab").removeprefix(", ") or "every step"
            what = f"Gram matrix, {named[0]}, T = {named[1]}, {way}"
            yield what, PLAIN, row["ratio"], gram.TARGETS.get(named), told


def memory(_: Path) -> Iterator[Row]:
    """Measure the memory of a step of 40 tasks, to that of LibMTL's way; medians of three."""
    own, peer = (
        statistics.median(gram.memory("cnn", 40, name) for _ in range(3))
        for name in ("trajlab", "LibMTL's way")
    )
    yield "peak memory, cnn, T = 40", "of LibMTL's", own / peer, 0.6, f"LibMTL's {peer:.0f} MiB"


def larges(_: Path) -> Iterator[Row]:
    """Measure probes on a transformer of 23 million parameters."""
    limits = {"GradientSketch": 2.45, "Parameters": 1.05}
    found = large.compare([*limits, "TaskGradients"], rounds=7)
    beside = {"GradientSketch": f"the exact Gram's {found['TaskGradients'][1]:.2f}"}
    for name, limit in limits.items():
        what = f"`{name}`, transformer of 23 M parameters, T = 3"
        yield what, PLAIN, found[name][1], limit, beside.get(name, "")
    plain, sketch = large.memory("plain"), large.memory("GradientSketch")
    what = "`GradientSketch`, the same transformer, peak memory"
    yield what, "MiB more than plain", sketch - plain, 60, f"plain training {plain:.0f} MiB"


def eigenvalues(_: Path) -> Iterator[Row]:
    """Measure products that the top eigenvalue takes to 1e-3, to those of PyHessian."""
    from benchmarks import curvature  # its peers are slow to load, and change how warnings show

    with sdpa_kernel(SDPBackend.MATH):
        for problem in curvature.problems("cnn"):
            found = curvature.fewer(problem, 50)
            beside = "PyHessian {PyHessian:g}, ours {products:g}; bound {bound:.2f}".format(**found)
            what = f"products for the top eigenvalue to 1e-3, {problem.name}"
            yield what, "of PyHessian's", found["ratio"], 0.5, beside


def whole(folder: Path) -> Iterator[Row]:
    """Measure the demo and the test suite, with this environment and as many threads as it takes.

    What is built of an environment that is there already is left as it is.
    """
    ready = ["-o", f"{sys.prefix}/.ready", f"VENV={sys.prefix}"]
    own = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "OMP_NUM_THREADS"}
    environment = {name: value for name, value in os.environ.items() if name not in own}
    for target, limit in (("demo", 60), ("test", 300)):
        command = ["make", target, f"RUNS={folder / 'demo'}", *ready]
        began = time.perf_counter()
        subprocess.run(command, env=environment, check=True)
        yield f"`make {target}`", "s of wall time", time.perf_counter() - began, limit, ""


PARTS: dict[str, tuple[Callable[[Path], Iterator[Row]], float]] = {  # with minutes it takes
    "start-up": (start_up, 0.5),
    "gram": (grams, 3),
    "large": (larges, 1.5),
    "memory": (memory, 1),
    "curvature": (eigenvalues, 0.5),
    "light": (lights, 3),
    "analyses": (analyses, 4),
    "whole": (whole, 8),
    "many": (many, 30),
}
ALONE = {"many"}  # measured when it is asked for


def measure(part: str, folder: Path) -> None:
    """Measure a part, and keep each row as soon as it is there."""
    function, minutes = PARTS[part]
    print(f"{part}: some {minutes:g} minutes", flush=True)
    new: list[dict[str, Any]] = []
    for what, unit, measured, limit, beside in function(folder):
        when = f"{datetime.now(UTC):%Y-%m-%d}, load {os.getloadavg()[0]:.0f}"
        row = {"what": what, "unit": unit, "measured": measured, "limit": limit}
        new.append(row | {"beside": beside, "when": when})
        print(line(new[-1]), flush=True)
        names = {row["what"] for row in new}
        keep(part, new + [row for row in kept().get(part, []) if row["what"] not in names])
    keep(part, new)


def kept() -> dict[str, list[dict[str, Any]]]:
    """Return all rows by part."""
    found: dict[str, list[dict[str, Any]]] = json.loads(KEPT.read_text())
    return found


def keep(part: str, rows: list[dict[str, Any]]) -> None:
    """Put a part's rows in the place of those that are kept, and write the table."""
    found = kept() | {part: rows}
    KEPT.write_text(json.dumps(found, indent=1) + "\n")
    head = ["| what | unit | measured | limit | beside | when |", "|---|---|---|---|---|---|"]
    lines = [line(row) for part in PARTS for row in found.get(part, [])]
    where = f"{os.cpu_count()} CPU cores, Python {platform.python_version()}, one thread."
    table = "\n".join(["<!-- make bench -->", where, "", *head, *lines, "<!-- end -->"])
    marked = re.compile(r"<!-- make bench -->.*<!-- end -->", re.DOTALL)
    README.write_text(marked.sub(lambda _: table, README.read_text()))


def line(row: dict[str, Any]) -> str:
    """Return a row of the table in Markdown."""
    limit, measured = row["limit"], row["measured"]
    missed = limit is not None and measured > limit
    told = "" if limit is None else f"{limit:g}{' (missed)' if missed else ''}"
    cells = row["what"], row["unit"], f"{measured:.2f}", told, row["beside"], row["when"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and write; a part that fails is told at the end, and does not end the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    usual = [part for part in PARTS if part not in ALONE]
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=usual)
    parser.add_argument("--folder", type=Path, help="where made-up runs are kept")
    given = parser.parse_args()
    torch.set_num_threads(1)
    failed = []
    for part in given.only:
        with tempfile.TemporaryDirectory() as temporary:
            try:
                measure(part, given.folder or Path(temporary))
            except Exception:
                traceback.print_exc()
                failed.append(part)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
