"""How numbers of a row are put into words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trajlab.analysis.interface.sentence import Row


def estimate(row: Row, name: str, low: str = "low", high: str = "high") -> str:
    """Write a number with its interval, ``+1.2 [+0.8, +1.6]``."""
    interval = "" if np.isnan(row[low]) else f" [{row[low]:+.3g}, {row[high]:+.3g}]"
    return f"{row[name]:+.3g}{interval}"


def term(row: Row, name: str) -> str:
    """Write a number whose interval is named after it."""
    return estimate(row, name, f"{name}_low", f"{name}_high")


def term_numbers(row: Row, name: str) -> dict[str, Any]:
    """Return the numbers that :func:`term` stands on."""
    return {key: row[key] for key in (name, f"{name}_low", f"{name}_high", f"{name}_p_adjusted")}


def span(rows: Sequence[Row], name: str, label: str = "task") -> tuple[str, dict[str, Any]]:
    """Write the range of a number over rows, with the rows that have its ends."""
    ends = min(rows, key=lambda row: row[name]), max(rows, key=lambda row: row[name])
    first, last = (f"{row[name]:+.3g} ({row[label]})" for row in ends)
    return f"from {first} to {last}", {"lowest": ends[0][name], "highest": ends[1][name]}


def percent(share: float) -> str:
    """Write a share as a reader says it, ``21 %``; what is not nothing is never told as 0 %."""
    return f"{100 * share:.3g} %"
