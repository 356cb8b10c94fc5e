"""Made-up runs of many tasks, with names that would like to be more than text."""

from contextlib import closing
from pathlib import Path

import numpy as np

from trajlab.store import Column, Table, Writer

EVIL = ("<script>alert(1)</script>", 'cost_of_$x$ "quoted"', "\x1b[31mred")
EVALUATIONS = 40


def record_many(folder: Path, tasks: int, methods: tuple[str, ...], seeds: int = 4) -> None:
    """Record each task alone, and all of them by each method, whose effects differ by task."""
    names = [*EVIL, *(f"task-{number:02d}" for number in range(tasks))][:tasks]
    for seed in range(seeds):
        for number, name in enumerate(names):
            _record(folder / f"single-{number}-{seed}.h5", "single", seed, [name], 0.0)
        for place, method in enumerate(methods):
            effects = (np.arange(tasks) * 7 + place) % 5 - 2.0
            _record(folder / f"{method}-{seed}.h5", method, seed, names, effects)


def _record(
    path: Path, method: str, seed: int, tasks: list[str], effects: float | np.ndarray
) -> None:
    random = np.random.default_rng([seed, *map(ord, path.stem)])
    metadata = {"setting": "made up", "method": method, "seed": seed}
    higher = {"higher_is_better": True}
    new = Writer(path, tasks, metadata=metadata, provenance={"device": "cpu"})
    with closing(new) as writer:
        for split, name in (("train", "loss"), ("validation", "accuracy"), ("test", "accuracy")):
            attributes = {} if name == "loss" else higher
            columns = (Column(name, ("step", "task"), attributes=attributes),)
            table = Table(f"evaluations/{split}", columns, {"task": tasks}, kind="evaluation")
            writer.declare(table)
        for step in range(1, EVALUATIONS + 1):
            noise = random.normal(0, 1, (3, len(tasks)))
            reached = 60 + 10 * (1 - np.exp(-step / 10)) + effects * step / EVALUATIONS
            loss = 2 * 0.85**step * np.exp(0.05 * noise[0])
            writer.append("evaluations/train", {"step": step, "loss": loss})
            for split, own in (("validation", noise[1]), ("test", noise[2])):
                row = {"step": step, "accuracy": reached + 0.5 * own}
                writer.append(f"evaluations/{split}", row)
