"""Read what Weights & Biases keeps of offline runs, and the CSV files that it exports."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from trajlab.errors import TrajlabError
from trajlab.store.importers.series import LoggedRun

_STEP = ("trajlab_step", "_step", "Step", "step", "global_step")
_RUN = ("run", "Run", "name", "Name", "run_name", "run_id")
_HEADER, _BLOCK, _RECORD = 7, 2**15, struct.Struct("<IHB")  # of LevelDB's log format
_WHOLE, _LAST = 1, 4


def read_wandb(path: Path) -> Iterator[LoggedRun]:
    """Return the runs of a CSV export, or of a folder with offline runs.

    A CSV file has a column of steps and one a series; several runs are told apart by a column
    ``run`` or ``name``, or by headers ``RUN - SERIES`` as the web page writes them.

    Raises
    ------
    TrajlabError
        If the file has no column of steps, or wandb is needed and not installed.
    """
    if path.is_file() and path.suffix == ".csv":
        yield from _table(path)
        return
    for file in [path] if path.is_file() else sorted(path.rglob("*.wandb")):
        yield _offline(file)


def _table(path: Path) -> Iterator[LoggedRun]:
    table = pd.read_csv(path)
    step = next((name for name in _STEP if name in table), None)
    if step is None:
        raise TrajlabError(
            f"{path} has no column of steps, named {' or '.join(_STEP)}; it has "
            f"{', '.join(table.columns)}"
        )
    run = next((name for name in _RUN if name in table), None)
    apart = {n: n.split(" - ", 1) for n in map(str, table.columns) if " - " in n}
    if run is None and apart:
        chosen = {n: w for n, w in apart.items() if not n.endswith(("__MIN", "__MAX"))}
        for own in dict.fromkeys(words[0] for words in chosen.values()):
            columns = {words[1]: name for name, words in chosen.items() if words[0] == own}
            series = {tag: _column(table, step, name) for tag, name in columns.items()}
            yield LoggedRun(own, {}, series)
        return
    groups = table.groupby(run, sort=False) if run else [(path.stem, table)]
    for name, rows in groups:
        numbers = rows.drop(columns=[c for c in (step, run) if c]).select_dtypes("number")
        texts = rows.select_dtypes(exclude="number").drop(columns=run or [], errors="ignore")
        same = {str(c): texts[c].iloc[0] for c in texts if (texts[c] == texts[c].iloc[0]).all()}
        series = {tag: _column(rows, step, tag) for tag in map(str, numbers.columns)}
        yield LoggedRun(str(name), same, series)


def _column(table: pd.DataFrame, step: str, name: str) -> dict[int, float]:
    rows = table[[step, name]].dropna()
    return dict(zip(rows[step].astype(int), rows[name].astype(float), strict=True))


def _offline(file: Path) -> LoggedRun:
    try:
        from wandb.proto.wandb_internal_pb2 import Record
    except ImportError as error:
        raise TrajlabError("wandb is not installed; run pip install wandb") from error
    name, metadata = file.parent.name, {}
    series: dict[str, dict[int, float]] = {}
    for data in _records(file.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        if record.HasField("run"):
            name = record.run.display_name or record.run.run_id or name
            found = {item.key: json.loads(item.value_json) for item in record.run.config.update}
            metadata = {k: v for k, v in found.items() if isinstance(v, str | int | float)}
        if record.HasField("history"):
            row = {_key(item): json.loads(item.value_json) for item in record.history.item}
            step = int(next((row[s] for s in _STEP if s in row), record.history.step.num))
            for key, value in row.items():
                if isinstance(value, int | float) and not key.startswith("_") and key not in _STEP:
                    series.setdefault(key, {})[step] = float(value)
    return LoggedRun(name, metadata, series)


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def _records(data: bytes) -> Iterator[bytes]:
    """Return the records of a LevelDB log, up to where a crash may have torn it."""
    position, parts = _HEADER, b""
    while position + _RECORD.size <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _RECORD.size:  # the block's padding
            position += left
            continue
        _, length, kind = _RECORD.unpack_from(data, position)
        position += _RECORD.size
        if kind == 0 or position + length > len(data):
            return
        parts += data[position : position + length]
        position += length
        if kind in (_WHOLE, _LAST):
            yield parts
            parts = b""
