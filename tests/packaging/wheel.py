"""Build sdist and wheel, install the wheel alone in an empty environment, and use it.

Run by ``make wheel-check``; ``PYTHONS="python3.11 python3.13"`` names the interpreters, and
``TORCH=--without-torch`` tries only what needs no torch, where its build would be gigabytes.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = "import trajlab.analysis, trajlab.plots, trajlab.cli.main"
RUNS, FRONTS = "runs/digits-two-tasks", "runs/digits-fronts"
GRID = "--group-by weight --group-by lr"
FIRST = f"{RUNS}/single-seed0.h5"
# what a plain install has to run: every command that `--help` offers and that serves no page
COMMANDS = f"""
datasets
datasets digits-two-tasks
datasets digits-fronts
info {RUNS}
gap {RUNS} --figure gap.png
conflict {RUNS} --figure conflict.svg
factors {RUNS}
geometry {RUNS}
correlate {FRONTS} --x min_train_loss --y final_metric --group-by stage {GRID}
front {FRONTS} --metric accuracy {GRID} --fresh stage=fresh
weighting {FRONTS} --group-by stage {GRID}
watch {FIRST} --once
export {RUNS} --table losses --out losses.csv
check {RUNS}
repair {FIRST} saved.h5
view --help
study --help
import --help
merge --help
"""
WITH_TORCH = f"""
diagnose {RUNS}
quickstart
diagnose runs/quickstart --force
"""


def say(sentence: str) -> None:
    print(sentence, flush=True)


def call(*command: str | Path, **options: object) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(  # type: ignore[call-overload]
        [str(part) for part in command], capture_output=True, text=True, env=environment, **options
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def check_contents(wheel: Path, sdist: Path) -> None:
    """Compare what was built with what git tracks."""
    tracked = call("git", "ls-files", "trajlab", cwd=ROOT).split()
    with zipfile.ZipFile(wheel) as first, tarfile.open(sdist) as second:
        contents = {
            wheel: first.namelist(),
            sdist: [name.partition("/")[2] for name in second.getnames()],
        }
    for file, names in contents.items():
        if missing := sorted(set(tracked) - set(names)):
            sys.exit(f"{file.name} lacks {', '.join(missing)}")
        say(f"{file.name}: {file.stat().st_size / 1e6:.2f} MB, complete")


def requirements(wheel: Path) -> list[str]:
    """Return what the wheel asks for in a plain install."""
    (metadata,) = (n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("/METADATA"))
    lines = zipfile.ZipFile(wheel).read(metadata).decode().splitlines()
    named = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")]
    return [requirement for requirement in named if "extra ==" not in requirement]


def try_wheel(wheel: Path, python: str, folder: Path, *, torch: bool) -> None:
    """Install the wheel in an empty environment and run what a newcomer runs first."""
    call(python, "-m", "venv", folder / "empty", "--clear")
    binaries = folder / "empty" / "bin"
    pip = [binaries / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    version = call(binaries / "python", "--version").strip()
    if not torch:
        call(*pip, "--no-deps", wheel)
        call(*pip, *(r for r in requirements(wheel) if not r.startswith(("torch", "pyhessian"))))
        call(binaries / "python", "-c", WITHOUT_TORCH)
        run(binaries, COMMANDS, folder)
        say(f"{version}: installs; analyses, figures and commands run without torch")
        return
    # torch first and pinned, as the README says: so no other package chooses its build
    call(*pip, *re.findall(r"^torch==.*", (ROOT / "constraints.txt").read_text(), flags=re.M))
    call(*pip, wheel)
    run(binaries, COMMANDS + WITH_TORCH, folder)
    if not (folder / "runs" / "quickstart" / "report.html").stat().st_size:
        sys.exit("the quickstart wrote no page")
    say(f"{version}: installs; every command runs")


def run(binaries: Path, commands: str, folder: Path) -> None:
    """Type commands, and see that none that `--help` offers is left out."""
    for name in ("runs", "gap.png", "conflict.svg", "losses.csv", "saved.h5", "report.html"):
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink(True)
    offered = re.findall(r"^  ([a-z]+)  ", call(binaries / "trajlab", "--help"), flags=re.M)
    tried = {line.split()[0] for line in (COMMANDS + WITH_TORCH).split("\n") if line}
    if left := set(offered) - tried:
        sys.exit(f"the wheel check leaves out {', '.join(sorted(left))}")
    for line in filter(None, commands.split("\n")):
        call(binaries / "trajlab", *line.split(), cwd=folder)


def main() -> None:
    """Build and try; exit with what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="*", default=[sys.executable])
    parser.add_argument("--without-torch", action="store_true", help="try what needs no torch")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        call(sys.executable, "-m", "venv", folder / "build")
        builder = folder / "build" / "bin" / "python"
        call(builder, "-m", "pip", "install", "--quiet", "build")
        call(builder, "-m", "build", "--outdir", folder, ROOT)
        (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
        check_contents(wheel, sdist)
        for python in arguments.pythons:
            try_wheel(wheel, python, folder, torch=not arguments.without_torch)


if __name__ == "__main__":
    main()
