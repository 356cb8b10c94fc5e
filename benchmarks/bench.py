"""Run the benchmarks that have targets, and write one table into ``benchmarks/README.md``.

Each part is the short form of its own benchmark; all together take under half an hour. Numbers are
CPU seconds, CPU time over that of plain training, MiB, or counts of products. ``--only PART``
measures some parts anew; the rows of the others stay as they were, with their dates.
"""

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trajlab
from benchmarks import gram, light, scale

HERE = Path(__file__).parent
README, KEPT = HERE / "README.md", HERE / "bench.json"
HELP = ("--help", "gap --help", "study run --help", "diagnose --help", "import csv --help")
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


def of(module: str, folder: Path, *arguments: str) -> Any:
    """Run a benchmark and return what it writes as JSON."""
    file = folder / f"{module}.json"
    command = [sys.executable, "-m", f"benchmarks.{module}", "--json", str(file), *arguments]
    subprocess.run(command, check=True)
    return json.loads(file.read_text())


def analyses(folder: Path) -> Iterator[Row]:
    """Measure analyses of 1,000 runs and of a long one."""
    for name, found in of("scale", folder, "--folder", str(folder)).items():
        long = name == "conflict"
        what = f"`{name}` on {'100,000 steps × 30 layers × 8 tasks' if long else '1,000 runs'}"
        yield what, "s", found["seconds"], scale.TARGETS[name], ""
        yield f"{what}, peak memory", "MiB", found["mib"], 1000 if long else 1500, ""


def lights(folder: Path) -> Iterator[Row]:
    """Measure what `probes.light()` costs."""
    for workload, ratio in of("light", folder, "--quick").items():
        yield f"`light()`, {workload}, T = 3, after step 100", "ratio", ratio, light.TARGET, ""


def grams(folder: Path) -> Iterator[Row]:
    """Measure Gram matrices, each method beside computing every task's gradient by autograd."""
    found = of("gram", folder, "--quick")
    naive = {
        (row["workload"], row["tasks"]): f"naive autograd {row['ratio']:.2f}"
        for row in found
        if row["method"] == "naive autograd"
    }
    for row in found:
        case = row["workload"], row["tasks"], row["method"]
        if row["method"].startswith("trajlab"):
            what = "Gram matrix, {}, T = {}: {}".format(*case)
            yield what, "ratio", row["ratio"], gram.TARGETS.get(case), naive.get(case[:2], "")


def memory(_: Path) -> Iterator[Row]:
    """Measure the memory of a step of 40 tasks, to that of LibMTL's way."""
    own, peer = (gram.memory("cnn", 40, name) for name in ("trajlab", "LibMTL's way"))
    yield "peak memory, cnn, T = 40", "of LibMTL's", own / peer, 0.6, f"LibMTL's {peer:.0f} MiB"


PARTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "start-up": start_up,
    "analyses": analyses,
    "light": lights,
    "gram": grams,
    "memory": memory,
}


def line(row: dict[str, Any]) -> str:
    """Return a row of the table in Markdown."""
    limit, measured = row["limit"], row["measured"]
    missed = limit is not None and measured > limit
    told = "" if limit is None else f"{limit:g}{' (missed)' if missed else ''}"
    cells = row["what"], row["unit"], f"{measured:.2f}", told, row["beside"], row["when"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--folder", type=Path, help="where made-up runs are kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for part in given.only:
            rows = []
            for what, unit, measured, limit, beside in PARTS[part](given.folder or Path(temporary)):
                when = f"{datetime.now(UTC):%Y-%m-%d}, load {os.getloadavg()[0]:.0f}"
                row = {"what": what, "unit": unit, "measured": measured, "limit": limit}
                rows.append(row | {"beside": beside, "when": when})
                print(line(rows[-1]), flush=True)
            kept = json.loads(KEPT.read_text()) | {part: rows}
            KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    kept = json.loads(KEPT.read_text())
    head = ["| what | unit | measured | limit | beside | when |", "|---|---|---|---|---|---|"]
    lines = [line(row) for part in PARTS for row in kept.get(part, [])]
    where = f"{os.cpu_count()} CPU cores, Python {platform.python_version()}, one thread."
    table = "\n".join(["<!-- make bench -->", where, "", *head, *lines, "<!-- end -->"])
    marked = re.compile(r"<!-- make bench -->.*<!-- end -->", re.DOTALL)
    README.write_text(marked.sub(lambda _: table, README.read_text()))


if __name__ == "__main__":
    main()
