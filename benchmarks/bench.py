"""Run the benchmarks that have targets, and write one table into ``benchmarks/README.md``.

Start-up, analyses of many runs, `probes.light()` and Gram matrices, each by the short form of its
own benchmark: under half an hour. Numbers are CPU seconds, or CPU time over that of plain training.
"""

import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import gram, light, scale

README = Path(__file__).parent / "README.md"
HELP = ("--help", "gap --help", "study --help", "diagnose --help", "import --help")
Row = tuple[str, str, float, float | None]  # what, unit, measured, target


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


def start_up(folder: Path) -> Iterator[Row]:
    """Measure help, the import, and a look at 15 runs."""
    for command in HELP:
        yield f"`trajlab {command}`", "s", seconds("-m", "trajlab", *command.split()), 0.3
    yield "`import trajlab.analysis`", "s", seconds("-c", "import trajlab.analysis"), 0.5
    runs = str(scale.study(folder, 20))
    for command in ("info", "gap"):
        yield f"`{command}` on 20 runs", "s", seconds("-m", "trajlab", command, runs), 1.2


def of(module: str, folder: Path, *arguments: str) -> object:
    """Run a benchmark and return what it writes as JSON."""
    file = folder / f"{module}.json"
    command = [sys.executable, "-m", f"benchmarks.{module}", "--json", str(file), *arguments]
    subprocess.run(command, check=True)
    return json.loads(file.read_text())


def rows(folder: Path) -> Iterator[Row]:
    """Measure all of it."""
    yield from start_up(folder)
    for name, found in of("scale", folder, "--folder", str(folder)).items():
        what = "100,000 steps × 30 layers × 8 tasks" if name == "conflict" else "1,000 runs"
        yield f"`{name}` on {what}", "s", found["seconds"], scale.TARGETS[name]
        yield f"`{name}` on {what}, peak memory", "MiB", found["mib"], None
    for workload, ratio in of("light", folder, "--quick").items():
        yield f"`light()`, {workload}, T = 3, after step 100", "ratio", ratio, light.TARGET
    for row in of("gram", folder, "--quick"):
        case = row["workload"], row["tasks"], row["method"]
        what = "Gram matrix, {}, T = {}: {}".format(*case)
        yield what, "ratio", row["ratio"], gram.TARGETS.get(case)


def main() -> None:
    """Measure and write."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(rows(Path(folder)))
    lines = ["| what | unit | measured | target | |", "|---|---|---|---|---|"]
    for what, unit, measured, target in found:
        missed = "missed" if target is not None and measured > target else ""
        lines.append(f"| {what} | {unit} | {measured:.2f} | {target or ''} | {missed} |")
    load = ", ".join(f"{one:.0f}" for one in os.getloadavg())
    where = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPU cores, load {load}, "
    where += f"Python {platform.python_version()}; one thread."
    table = "\n".join(["<!-- make bench -->", where, "", *lines, "<!-- end -->"])
    text = README.read_text()
    marked = re.compile(r"<!-- make bench -->.*<!-- end -->", re.DOTALL)
    README.write_text(marked.sub(lambda _: table, text))
    print(table)


if __name__ == "__main__":
    main()
