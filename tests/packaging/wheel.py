"""Build sdist and wheel, install the wheel alone in an empty environment, and use it.

Run by ``make wheel-check``, on every Python of the classifiers that is there, and saying which is
not; ``PYTHONS="3.11 3.13"`` names them, and ``TORCH=--without-torch`` tries only what needs no
torch, where its build would be gigabytes.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
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
NEXT = "3.14"  # tried where it is there; the classifiers name what was tried
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()


def say(sentence: str) -> None:
    print(sentence, flush=True)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Say how long something takes."""
    wall, cpu = time.monotonic(), os.times()
    yield
    now = os.times()
    spent = now.children_user + now.children_system - cpu.children_user - cpu.children_system
    say(f"  {what}: {time.monotonic() - wall:.0f} s, {spent:.0f} s of CPU")


def size(folder: Path) -> str:
    """Return the size of all files below a folder."""
    total = sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{total / 1e9:.2f} GB"


def supported() -> list[str]:
    """Return the versions of Python that the package names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = (re.fullmatch(r".* Python :: (3\.\d+)", line) for line in project["classifiers"])
    return [match[1] for match in found if match]


def interpreter(version: str) -> str | None:
    """Return the interpreter of a version, on the path or pyenv's; None if there is none."""
    candidates = [f"python{version}", *Path.home().glob(f".pyenv/versions/{version}.*/bin/python")]
    for candidate in map(str, candidates):
        asked = [candidate, "-c", "import sys; print('{}.{}'.format(*sys.version_info))"]
        if shutil.which(candidate):
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            if done.stdout.strip() == version:  # a shim of pyenv may be of no version
                return candidate
    return None


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
        if file == sdist:
            links = re.findall(r"\]\((?!\w+:)([^)#]+)", (ROOT / "README.md").read_text())
            if missing := sorted(set(links) - set(names)):
                sys.exit(f"{file.name} lacks what the README links to: {', '.join(missing)}")
        say(f"{file.name}: {file.stat().st_size / 1e6:.2f} MB, complete")


def requirements(wheel: Path) -> list[str]:
    """Return what the wheel asks for in a plain install."""
    (metadata,) = (n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("/METADATA"))
    lines = zipfile.ZipFile(wheel).read(metadata).decode().splitlines()
    named = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist: ")]
    return [requirement for requirement in named if "extra ==" not in requirement]


def try_wheel(wheel: Path, python: str, folder: Path, *, torch: bool) -> None:
    """Install the wheel in an empty environment and run what a newcomer runs first."""
    call(python, "-m", "venv", folder / "empty")
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
    say(f"{version}, in an empty environment:")
    # torch first and pinned, as the README says: so no other package chooses its build
    torch_pin = re.findall(r"^torch==.*", (ROOT / "constraints.txt").read_text(), flags=re.M)
    with told("torch installed"):
        call(*pip, *torch_pin)
    build = call(binaries / "python", "-c", "import torch; print(torch.__version__)").strip()
    say(f"  torch {build}: {size(folder / 'empty')}")
    with told("trajlab and what it needs installed"):
        call(*pip, wheel)
    say(f"  all together: {size(folder / 'empty')}")
    with told("every command that --help offers"):
        run(binaries, COMMANDS, folder)
    for line in filter(None, WITH_TORCH.split("\n")):
        with told(f"trajlab {line}"):
            call(binaries / "trajlab", *line.split(), cwd=folder)
    if not (folder / "runs" / "quickstart" / "report.html").stat().st_size:
        sys.exit("the quickstart wrote no page")
    with told("the first tutorial, typed"):
        type_tutorial(binaries, folder)


def type_tutorial(binaries: Path, folder: Path) -> None:
    """Type the blocks of the first tutorial, one after the other."""
    code, lines = (
        "\n".join(re.findall(rf"^```{language}\n(.*?)^```", TUTORIAL, flags=re.M | re.S))
        for language in ("python", "sh")
    )
    (folder / "first.py").write_text(code)
    call(binaries / "python", "first.py", cwd=folder)
    for line in filter(None, lines.split("\n")):
        call(binaries / "trajlab", *line.split("#")[0].split()[1:], cwd=folder)


def run(binaries: Path, commands: str, folder: Path) -> None:
    """Type commands, and see that none that `--help` offers is left out."""
    offered = re.findall(r"^  ([a-z]+)  ", call(binaries / "trajlab", "--help"), flags=re.M)
    tried = {line.split()[0] for line in (COMMANDS + WITH_TORCH).split("\n") if line}
    if left := set(offered) - tried:
        sys.exit(f"the wheel check leaves out {', '.join(sorted(left))}")
    for line in filter(None, commands.split("\n")):
        call(binaries / "trajlab", *line.split(), cwd=folder)


def main() -> None:
    """Build and try; exit with what failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="*", help="versions, such as 3.12; all by default")
    parser.add_argument("--without-torch", action="store_true", help="try what needs no torch")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as built:
        folder = Path(built)
        call(sys.executable, "-m", "venv", folder / "build")
        builder = folder / "build" / "bin" / "python"
        call(builder, "-m", "pip", "install", "--quiet", "build")
        call(builder, "-m", "build", "--outdir", folder, ROOT)
        (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
        check_contents(wheel, sdist)
        tried = 0
        for version in (versions := arguments.pythons or [*supported(), NEXT]):
            python = interpreter(version)
            if python is None:
                say(f"Python {version}: not tried, there is no interpreter of it here")
                continue
            with tempfile.TemporaryDirectory() as name:
                try_wheel(wheel, python, Path(name), torch=not arguments.without_torch)
            tried += 1
    say(f"{tried} of {len(versions)} Pythons: the wheel installs, and does what a newcomer asks")
    if not tried or (arguments.pythons and tried < len(versions)):
        sys.exit("the wheel was not tried on all that was asked for")


if __name__ == "__main__":
    main()
