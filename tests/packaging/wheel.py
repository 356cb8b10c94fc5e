"""Build sdist and wheel, install the wheel alone in an empty environment, and use it.

Run by ``make wheel-check``; ``PYTHONS="python3.11 python3.13"`` names the interpreters, and
``TORCH=--without-torch`` tries only what needs no torch, where its build would be gigabytes.
"""

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = "import trajlab.analysis, trajlab.plots, trajlab.cli.main"


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
        say(f"{version}: installs; analyses, figures and commands load without torch")
        return
    # torch first and pinned, as the README says: so no other package chooses its build
    call(*pip, *re.findall(r"^torch==.*", (ROOT / "constraints.txt").read_text(), flags=re.M))
    call(*pip, wheel)
    for command in (["--help"], ["quickstart"], ["diagnose", "runs/quickstart", "--force"]):
        call(binaries / "trajlab", *command, cwd=folder)
    if not (folder / "runs" / "quickstart" / "report.html").stat().st_size:
        sys.exit("the quickstart wrote no page")
    say(f"{version}: installs; quickstart and diagnose run")


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
