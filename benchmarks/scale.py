"""What analyses of many runs cost, and one of a long run: CPU seconds and peak memory.

Runs are made up once and kept in the folder; every analysis is a process of its own.
``python -m benchmarks.scale --runs 1000 --folder FOLDER``; ``--quick`` takes 60 runs and a
hundredth of the steps.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.peak import high_water
from trajlab.store import Writer, standard

TASKS = ["a", "b", "c"]
EVALUATIONS = 200
SEEDS = 10  # runs of a group
METHODS = 4  # beside the baseline, each of many configurations
TARGETS = {"gap": 10, "factors": 20, "correlate": 10, "front": 10, "diagnose": 60, "conflict": 20}
OPTIONS = {
    "correlate": ["--x", "sharpness", "--y", "final_metric"],
    "front": ["--baseline", "method=single"],
}
STEPS, LAYERS, MANY = 100_000, 30, [f"task {i}" for i in range(8)]
BLOCK = 1_000  # steps of Gram matrices drawn at once


def study(folder: Path, runs: int) -> Path:
    """Make up runs of several methods: losses that fall with some noise, and scores that follow."""
    folder = folder / f"study-{runs}"
    if folder.exists():
        return folder
    making = folder.with_suffix(".making")
    making.mkdir(parents=True)
    steps = np.arange(EVALUATIONS) * 50
    for number in range(runs):
        rng = np.random.default_rng(number)
        group, seed = divmod(number, SEEDS)
        effect = 0.0 if group == 0 else np.random.default_rng(group).normal(0, 0.5)
        metadata = {
            "setting": "scale",
            "condition": "" if group == 0 else f"weights{group // METHODS:04d}",
            "method": "single" if group == 0 else f"method{group % METHODS}",
            "seed": seed,
        }
        writer = Writer(making / f"run{number:05d}.h5", TASKS, ["w"], metadata)
        falling = -3 * np.linspace(0, 1, EVALUATIONS)[:, None] + [[0, 0.2, 0.4]]
        noise = rng.normal(0, 0.1, (EVALUATIONS, len(TASKS)))
        loss = 10 ** (falling + noise + rng.normal(0, 0.1))
        accuracy = 80 + effect - 3 * np.log10(loss) + rng.normal(0, 0.5, loss.shape)
        for split, values in (
            ("train", {"loss": loss}),
            ("validation", {"loss": loss * 1.1, "accuracy": accuracy + noise}),
            ("test", {"loss": loss * 1.2, "accuracy": accuracy}),
        ):
            table = standard(f"evaluations/{split}", task=TASKS)
            if "accuracy" in values:
                table = with_accuracy(table)
            writer.declare(table)
            for i, step in enumerate(steps.tolist()):
                row = {name: column[i] for name, column in values.items()}
                writer.append(table.name, {"step": step, "epoch": i, **row})
        writer.declare(standard("sharpness", task=TASKS, rho=[0.05]))
        for i, step in enumerate(steps.tolist()):
            value = np.exp(rng.normal(size=(len(TASKS), 1)) + i / EVALUATIONS)
            columns = {"value": value, "se": value / 10, "saturated": value > 1e9}
            writer.append("sharpness", {"step": step, **columns, "reason": [""] * len(TASKS)})
        writer.close()
    making.rename(folder)
    return folder


def with_accuracy(table):
    """Declare the metric."""
    from dataclasses import replace

    from trajlab.store import Column

    accuracy = Column("accuracy", ("step", "task"), attributes={"higher_is_better": True})
    return replace(table, columns=(*table.columns, accuracy))


def long_run(folder: Path, steps: int) -> Path:
    """Make up one run with Gram matrices by layer at every step."""
    path = folder / f"long-{steps}.h5"
    if path.exists():
        return path
    making = path.with_stem(path.stem + "-making")
    metadata = {"setting": "scale", "method": "uniform", "seed": 0}
    rng = np.random.default_rng(0)
    writer = Writer(making, MANY, ["w"], metadata)
    layers = [f"layer{i}" for i in range(LAYERS)]
    writer.declare(standard("gradients", task=MANY, layer=layers))
    for first in range(0, steps, BLOCK):
        gradients = rng.normal(size=(min(BLOCK, steps - first), LAYERS, len(MANY), 12)) + 0.2
        for i, gram in enumerate(gradients @ gradients.swapaxes(-1, -2)):
            writer.append("gradients", {"step": first + i, "gram": gram})
    writer.close()
    making.rename(path)
    return path


def measured(analysis: str, runs: Path, folder: Path) -> dict[str, float]:
    """Run one analysis in a process of its own, into a file of JSON."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    page = ["--page", str(folder / "page.html"), "--force"] if analysis == "diagnose" else []
    command = [sys.executable, "-m", "benchmarks.scale", "--child", analysis, str(runs), *page]
    done = subprocess.run(
        [*command, *OPTIONS.get(analysis, [])], capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "mib": float(done.stderr.splitlines()[-1])}


def child(arguments: list[str]) -> None:
    """Run a command of trajlab and say how much memory it took at most."""
    from trajlab.cli.main import main as command

    command([*arguments, "--csv", "/dev/null", "--force"], standalone_mode=False)
    print(f"{high_water() / 1024:.0f}", file=sys.stderr)


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(TARGETS), default=list(TARGETS))
    given = parser.parse_args()
    runs, steps = (60, STEPS // 100) if given.quick else (given.runs, given.steps)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        print("| analysis | of | CPU s | target | peak MiB |\n|---|---|---|---|---|")
        for name in given.only:
            source = long_run(folder, steps) if name == "conflict" else study(folder, runs)
            found = measured(name, source, folder)
            of = f"{steps} steps × 30 layers × 8 tasks" if name == "conflict" else f"{runs} runs"
            cost = "{seconds:.1f}".format(**found)
            peak = "{mib:.0f}".format(**found)
            print(f"| `{name}` | {of} | {cost} | {TARGETS[name]} | {peak} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
    else:
        main()
