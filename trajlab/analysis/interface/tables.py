"""The columns that every table of an analysis begins with, declared once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.lazy import pd

GROUP_KEYS = ("setting", "condition", "method")
FREE_KEYS = ("seed", "pair_id")  # what runs of one group may differ in


def group_columns(group_by: Sequence[str] = ()) -> list[str]:
    """Return the names of the columns that name a group.

    Parameters
    ----------
    group_by
        Metadata keys that tell groups apart, next to `setting`, `condition` and `method`.
    """
    return list(dict.fromkeys((*GROUP_KEYS, *group_by)))


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a row is about, and how many runs it stands on.

    Attributes
    ----------
    keys
        The group's `setting`, `condition`, `method`, and the ``group_by`` keys; empty text where
        several groups are pooled.
    task
        The task; None in tables that tell tasks in columns of their own, or have none.
    baseline
        What the group is compared with; empty where nothing is compared.
    n_baseline, n_runs
        Number of runs of the baseline and of the group.
    """

    keys: Mapping[str, str]
    task: str | None = None
    baseline: str = ""
    n_baseline: int = 0
    n_runs: int = 0

    @property
    def columns(self) -> dict[str, str | int]:
        """The columns and their values, in order."""
        task = {} if self.task is None else {"task": self.task}
        counts = {"n_baseline": self.n_baseline, "n_runs": self.n_runs}
        return {**self.keys, **task, "baseline": self.baseline, **counts}

    def check_beside(self, columns: Iterable[str]) -> None:
        """Raise `TrajlabError` if a key of the group has the name of one of a table's columns."""
        own = {*columns, "task", "baseline", "n_baseline", "n_runs", "reason"}
        if taken := own & set(self.keys) - set(GROUP_KEYS):
            names = " and ".join(sorted(taken))
            raise TrajlabError(
                f"metadata {names} cannot tell groups apart, since a column of the table has that "
                "name; record or import it under another, such as "
                f"{sorted(taken)[0]}_setting"
            )

    def row(self, reason: str = "", **columns: Any) -> dict[str, Any]:
        """Return a row: the head, its own columns, and the reason why some are missing."""
        self.check_beside(columns)
        return {**self.columns, **columns, "reason": reason}

    def above(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a table with the head in front; columns that it has itself keep their values."""
        self.check_beside(map(str, frame))
        head = self.columns
        beside = {name: value for name, value in head.items() if name not in frame}
        return frame.assign(**beside)[list(dict.fromkeys([*head, *frame]))]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table; their values keep their types."""
    return [dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False)]


def parts(table: pd.DataFrame, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Yield the rows that are equal in `columns`, in order of appearance; an empty table has none.

    Parameters
    ----------
    table
        Rows; where there are some, with all of `columns`.
    columns
        Names of columns.
    """
    if not table.empty:
        yield from (part for _, part in table.groupby(list(columns), sort=False))
