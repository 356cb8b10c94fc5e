"""What recording and reading a run costs, beside other ways of writing numbers.

Process time a step, interleaved; medians with quartiles. ``--quick`` for a look.
"""

import argparse
import csv
import os
import shutil
import sqlite3
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.results import tell
from trajlab.store import Trajectory, Writer, load, standard

TASKS = [f"task {i}" for i in range(8)]
FLUSH = 10_000  # steps between flushes: 10 s of steps of 1 ms


def ours(path: Path, losses: np.ndarray) -> None:
    """Record with trajlab."""
    writer = Writer(path.with_suffix(".h5"), TASKS)
    writer.declare(standard("losses", task=TASKS))
    for step, row in enumerate(losses):
        writer.append("losses", {"step": step, "wall_time": 0.5, "loss": row})
        if step % FLUSH == FLUSH - 1:
            writer.flush()
    writer.close()


def raw(path: Path, losses: np.ndarray) -> None:
    """Write the bytes and nothing else."""
    with open(path, "wb") as file:
        for row in losses:
            file.write(row.tobytes())


def csv_logger(path: Path, losses: np.ndarray) -> None:
    """Write a CSV line a step."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        for step, row in enumerate(losses):
            writer.writerow([step, 0.5, *row.tolist()])
            file.flush()


def h5py_appends(path: Path, losses: np.ndarray) -> None:
    """Append to a chunked data set of plain h5py."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "loss", (0, len(TASKS)), "float64", maxshape=(None, len(TASKS)), chunks=(1024, 8)
        )
        for step, row in enumerate(losses):
            data.resize(step + 1, axis=0)
            data[step] = row


def tensorboard(path: Path, losses: np.ndarray) -> None:
    """Write a scalar a task with TensorBoard's writer."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(path)) as writer:
        for step, row in enumerate(losses):
            for task, loss in zip(TASKS, row, strict=True):
                writer.add_scalar(task, loss, step)


def timed(call: Callable[[], object]) -> float:
    """Return process time in seconds."""
    before = time.process_time()
    call()
    return time.process_time() - before


def summary(values: list[float]) -> dict[str, float]:
    """Return median and quartiles."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return {"median": float(median), "low": float(low), "high": float(high)}


def writing(folder: Path, repeats: int, steps: int) -> dict[str, dict[str, float]]:
    """Cost of a recorded step of eight losses, in µs."""
    ways = {"trajlab": ours, "raw write": raw, "CSV": csv_logger, "h5py": h5py_appends}
    lengths = dict.fromkeys(ways, steps) | {"h5py": steps // 10}
    try:
        import tensorboard as _  # noqa: F401
    except ImportError:
        pass
    else:
        ways["TensorBoard"] = tensorboard
        lengths["TensorBoard"] = steps // 20
    losses = np.random.default_rng(0).normal(size=(steps, len(TASKS)))
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats):
        for name, way in ways.items():
            rows = losses[: lengths[name]]
            path = folder / f"{name}-{repeat}"
            costs[name].append(timed(lambda w=way, p=path, r=rows: w(p, r)) / len(rows) * 1e6)
    return {name: summary(values) for name, values in costs.items()}


def reading(folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Time to read a loss column of 1e5 steps and 8 tasks, in ms."""
    path = folder / "sealed.h5"
    losses = np.random.default_rng(0).normal(size=(100_000, len(TASKS)))
    ours(folder / "sealed", losses)
    np.save(folder / "plain.npy", losses)
    table = Trajectory(path).table("losses")
    costs: dict[str, list[float]] = {"trajlab": [], "memmap": [], "open and read": []}
    for _ in range(repeats):
        costs["trajlab"].append(timed(lambda: table["loss"]) * 1e3)
        costs["memmap"].append(
            timed(lambda: np.array(np.load(folder / "plain.npy", mmap_mode="r"))) * 1e3
        )
        costs["open and read"].append(timed(lambda: Trajectory(path).table("losses")["loss"]) * 1e3)
    return {name: summary(values) for name, values in costs.items()}


def many(folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Time to open 300 runs and read one loss column each, in s."""
    losses = np.random.default_rng(0).normal(size=(1000, len(TASKS)))
    (folder / "many").mkdir()
    ours(folder / "many" / "0", losses)
    content = (folder / "many" / "0.h5").read_bytes()
    for i in range(1, 300):
        (folder / "many" / f"{i}.h5").write_bytes(content)

    def plain() -> None:
        for path in (folder / "many").glob("*.h5"):
            with h5py.File(path, "r", locking=False) as file:
                _ = dict(file.attrs), file["losses/loss"][...]

    ways = {
        "trajlab": lambda: [run.table("losses")["loss"] for run in load(folder / "many")],
        "plain h5py, unverified": plain,
    }
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            costs[name].append(timed(way))
    return {name: summary(values) for name, values in costs.items()}


def merging(folder: Path, repeats: int) -> dict[str, float]:
    """Speed of sealing, in MB a second of process time."""
    speeds = []
    table = standard("gradients", task=TASKS, layer=[f"layer {i}" for i in range(16)])
    gram = np.random.default_rng(0).normal(size=(16, 8, 8))
    for repeat in range(repeats):
        writer = Writer(folder / f"merged-{repeat}.h5", TASKS)
        writer.declare(table)
        for step in range(8000):
            writer.append("gradients", {"step": step, "gram": gram})
        writer.flush()
        seconds = timed(writer.close)
        speeds.append(writer.path.stat().st_size / 1e6 / seconds)
    return summary(speeds)


FLUSHED = ("losses", "hessian", "fisher", "evaluations/test")
EIGHT = (*FLUSHED, "noise", "sharpness", "evaluations/train", "evaluations/validation")


def opened(path: Path, names: Sequence[str]) -> Writer:
    """Begin a run with the named tables."""
    writer = Writer(path, TASKS)
    for name in names:
        axes = {"rho": [0.05]} if name == "sharpness" else {}
        writer.declare(standard(name, task=TASKS, **axes))
    return writer


def fill(writer: Writer, names: Sequence[str], step: int) -> None:
    """Buffer a row of each of the named tables."""
    for name in names:
        row = {"step": step, VALUE.get(name, "loss"): np.ones(8)}
        if name == "losses":
            row |= {"wall_time": 0.5, "weight": np.ones(8)}
        elif name == "sharpness":
            row["value"] = np.ones((8, 1))
        writer.append(name, row)


VALUE = {"hessian": "top", "fisher": "trace", "noise": "noise_scale", "sharpness": "value"}


def arrow_batches(first: int) -> list[bytes]:
    """Return what `fill` puts into four tables of 10 rows, as Arrow's messages."""
    import pyarrow as pa

    batches = []
    for columns in (("loss", "weight"), ("top",), ("trace",), ("loss",)):
        rows = {name: [np.ones(8) for _ in range(10)] for name in columns}
        arrays: dict[str, Any] = {"step": np.arange(first, first + 10)}
        for name, values in rows.items():
            flat = pa.array(np.concatenate(values))
            arrays[name] = pa.FixedSizeListArray.from_arrays(flat, 8)
        batches.append(pa.record_batch(arrays).serialize().to_pybytes())
    return batches


def flushing(folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Cost of a flush of 4 tables of 10 rows, beside other appends of as many bytes, in ms."""
    writer = opened(folder / "flushed.h5", FLUSHED)
    log = writer._journal
    database = sqlite3.connect(folder / "rows.db")
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("create table rows (content blob)")
    ways = ("trajlab", "framed append", "SQLite", "Arrow IPC")
    costs: dict[str, list[float]] = {name: [] for name in ways}
    with (
        open(folder / "frames", "wb", buffering=0) as file,
        open(folder / "arrow", "wb", buffering=0) as messages,
    ):
        for repeat in range(40 * repeats):
            before = log._log.size if log._log else 0
            for step in range(10 * repeat, 10 * repeat + 10):
                fill(writer, FLUSHED, step)
            costs["trajlab"].append(timed(writer.flush) * 1e3)
            assert log._log is not None
            content = np.random.default_rng(0).bytes(log._log.size - before)

            def append(content: bytes = content) -> None:
                head = struct.pack("<QI", len(content), zlib.crc32(content))
                file.write(head + content)
                os.fdatasync(file.fileno())

            def insert(content: bytes = content) -> None:
                with database:
                    database.execute("insert into rows values (?)", (content,))

            def arrow(first: int = 10 * repeat) -> None:
                messages.write(b"".join(arrow_batches(first)))
                os.fdatasync(messages.fileno())

            costs["framed append"].append(timed(append) * 1e3)
            costs["SQLite"].append(timed(insert) * 1e3)
            costs["Arrow IPC"].append(timed(arrow) * 1e3)
    writer.close()
    database.close()
    found = {name: summary(values) for name, values in costs.items()}
    pairs = zip(costs["trajlab"], costs["framed append"], strict=True)
    return found | {"ratio to framed append": summary([ours / other for ours, other in pairs])}


def whole_runs(folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Cost of all flushes of a run, and of its close, in s."""
    costs: dict[str, list[float]] = {}
    for repeat in range(repeats):
        for names, flushes in ((EIGHT, 80), (FLUSHED, 1000)):
            way = f"{len(names)} tables, {flushes} flushes"
            writer = opened(folder / f"whole-{len(names)}-{repeat}.h5", names)
            seconds = 0.0
            for flush in range(flushes):
                for step in range(10 * flush, 10 * flush + 10):
                    fill(writer, names, step)
                seconds += timed(writer.flush)
            costs.setdefault(way, []).append(seconds + timed(writer.close))
    return {way: summary(values) for way, values in costs.items()}


def refreshing(folder: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Cost of a look at a run of 1 GB, in parts and a log, that has nothing new, in ms."""
    writer = Writer(folder / "refreshed.h5", TASKS)
    writer.declare(standard("gradients", task=TASKS, layer=[f"layer {i}" for i in range(64)]))
    gram = np.random.default_rng(0).normal(size=(64, 8, 8))
    for step in range(32_000):
        writer.append("gradients", {"step": step, "gram": gram})
    writer.flush()
    run = Trajectory(writer.path)
    costs = [timed(run.refresh) * 1e3 for _ in range(20 * repeats)]
    writer._lock.release()
    shutil.rmtree(folder / "refreshed.h5.parts")
    return {"trajlab": summary(costs)}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    repeats, steps = (2, 10_000) if options.quick else (5, 20_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "a recorded step, µs": writing(folder, repeats, steps),
            "a column of 1e5 x 8, ms": reading(folder, 4 * repeats),
            "300 runs opened, a column each, s": many(folder, 4 * repeats),
            "sealing, MB/s": {"trajlab": merging(folder, repeats)},
            "a flush of 4 tables of 10 rows, ms": flushing(folder, repeats),
            "flushes of 10 rows and close of a run, s": whole_runs(folder, repeats),
            "refresh() of 1 GB with nothing new, ms": refreshing(folder, repeats),
        }
    tell(found, _line, as_json=options.json)


def _line(way: str, s: dict[str, float]) -> str:
    return f"  {way:22} {s['median']:10.3g}  ({s['low']:.3g} to {s['high']:.3g})"


if __name__ == "__main__":
    main()
