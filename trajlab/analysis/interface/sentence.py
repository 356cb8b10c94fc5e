"""A sentence of the verdict, and when there is one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

FEWEST_RUNS = 3  # runs a side, below which nothing but a description is given
TOLD_SINGLY = 6  # tasks, or pairs of them, that get sentences of their own

Row = Mapping[str, Any]
Statement = tuple[str, dict[str, Any]]  # a sentence, and the numbers that it stands on


class Sentence(NamedTuple):
    """One sentence of the verdict.

    Attributes
    ----------
    about
        The row of a table that it is about, or one row of the group that it is about.
    task
        The task; empty where the sentence is of a whole group.
    statement
        The sentence and the numbers that it stands on.
    """

    about: Row
    task: str
    statement: Statement
