"""A writer that writes nothing, for processes beside the one that records."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trajlab.store.table import Table


class NullWriter:
    """Stands in for a `Writer` in the ranks of a distributed training that do not record.

    Parameters
    ----------
    path
        The trajectory file that another process makes.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser()
        self.shared: list[str] = []
        self.created = datetime.now(UTC).isoformat(timespec="seconds")

    def rewind(self, step: int) -> None:
        """Do nothing."""

    def declare(self, table: Table) -> Table:
        """Return the table."""
        return table

    def append(self, table: str, row: Mapping[str, Any]) -> None:
        """Do nothing."""

    def set_attributes(self, table: str, attributes: Mapping[str, Any]) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def close(self, status: str = "complete") -> None:
        """Do nothing."""
