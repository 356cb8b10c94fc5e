"""Read what Weights & Biases keeps of offline runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.files import name_of
from trajlab.store.importers.leveldb import records
from trajlab.store.importers.logged import (
    Found,
    LoggedRun,
    Unreadable,
    read_each,
)
from trajlab.store.importers.rows import Rows, numbers
from trajlab.store.importers.texts import read_bytes
from trajlab.store.importers.wandb_csv import RUNTIME, counted, read_table


def read_wandb(path: Path) -> Iterator[Found]:
    """Return the runs of a CSV export, or of a folder with offline runs.

    The step is the trainer's where it was logged, as Lightning's and Hugging Face's loggers do,
    and W&B's own count of rows otherwise. The files of a run that was resumed are one run.

    Raises
    ------
    TrajlabError
        If wandb is needed and not installed.
    """
    files = [path] if path.is_file() else sorted([*path.rglob("*.wandb"), *path.rglob("*.csv")])
    yield from read_each((file for file in files if file.suffix == ".csv"), read_table)
    offline = [file for file in files if file.suffix != ".csv"]
    if not offline:
        return
    try:
        from wandb.proto.wandb_internal_pb2 import Record
    except ImportError as error:
        raise TrajlabError("wandb is not installed; run pip install wandb") from error
    runs: dict[str, _Offline] = {}
    for file in offline:
        try:
            _take(file, Record, runs)
        except TrajlabError as error:
            yield Unreadable(str(error))
    yield from read_each((Path(key) for key in runs), lambda key: [runs[str(key)].logged()])


class _Offline:
    """A run as its records tell it, one number a row."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.metadata: dict[str, Any] = {}
        self.notes: list[str] = []
        self._rows = Rows()
        self._count = 0
        self._ran = 0.0  # seconds, over all sessions
        self._before: float | None = None  # those of the sessions before this one

    def configure(self, config: Any) -> None:
        """Take settings, those of the beginning or later ones."""
        for item in config.update:
            value = json.loads(item.value_json)
            if isinstance(value, str | int | float):
                self.metadata[_key(item)] = value
        for item in config.remove:
            self.metadata.pop(_key(item), None)

    def begin(self) -> None:
        """Take what follows for another session: offline, W&B counts its seconds from 0 again."""
        self._before = None

    def log(self, history: Any) -> None:
        self._rows.add("_step", self._count, history.step.num)
        for item in history.item:
            for name, value in numbers(_key(item), json.loads(item.value_json)):
                self._rows.add(name, self._count, self._in_all(value) if name == RUNTIME else value)
        self._count += 1

    def _in_all(self, seconds: float) -> float:
        if self._before is None:
            self._before = self._ran if seconds < self._ran else 0.0
        self._ran = max(self._ran, self._before + seconds)
        return self._before + seconds

    def logged(self) -> LoggedRun:
        """Return the run by step.

        Raises
        ------
        TrajlabError
            If nothing was logged, or a step is not whole.
        """
        return counted(self._rows.run(self.name, self.metadata, self.notes))


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def _take(file: Path, record_type: Any, runs: dict[str, _Offline]) -> None:
    from google.protobuf.message import DecodeError

    run, rows, ended = None, [], False
    try:
        for data in records(read_bytes(file)):
            record = record_type()
            record.ParseFromString(data)
            if record.HasField("run"):
                key = record.run.run_id or str(file)
                run = runs.setdefault(key, _Offline(name_of(file.parent)))
                run.name = record.run.display_name or record.run.run_id or run.name
                run.configure(record.run.config)
            if record.HasField("config") and run:
                run.configure(record.config)
            if record.HasField("history"):
                rows.append(record.history)
            ended |= record.HasField("exit")
        run = run or runs.setdefault(str(file), _Offline(name_of(file.parent)))
        if not ended:
            run.notes.append("a session of it did not end, so that its last rows may be missing")
        run.begin()
        for row in rows:
            run.log(row)
    except (DecodeError, ValueError) as error:
        if isinstance(error, TrajlabError):
            raise
        raise TrajlabError(f"{file} is no run of wandb, or damaged: {error}") from error
