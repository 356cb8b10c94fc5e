"""Where a series belongs in a trajectory file, as a key of ``--map`` says it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from trajlab.errors import TrajlabError
from trajlab.store.importers.logged import Series
from trajlab.store.schema import SPLITS

# columns of a step, not of a task: what else was counted when the step was reached
CLOCKS = ("epoch", "tokens", "samples", "wall_time", "flops")


class Place(NamedTuple):
    """A column of a table, for one task or pair of tasks; a clock has neither table nor task."""

    table: str
    column: str
    task: str = ""
    other: str = ""


QUANTITIES = {
    "losses": Place("losses", "loss"),
    "sharpness": Place("sharpness", "value"),
    "gradient_covariance": Place("noise", "covariance_trace"),
    "fisher": Place("fisher", "trace"),
    "similarity": Place("similarity", "cosine_to_update"),
}

FORMS = (
    f"SPLIT/TASK/METRIC with {', '.join(SPLITS)}, QUANTITY/TASK with {', '.join(QUANTITIES)}, "
    f"similarity/TASK/OTHER_TASK, or {', '.join(CLOCKS)}"
)

_SHOWN = 40  # names in an error


@dataclass(frozen=True)
class Placed:
    """The numbers of one place.

    Attributes
    ----------
    series : str
        The name they were logged under.
    values : Series
        Value by step.
    """

    series: str
    values: Series


def is_place(key: str) -> bool:
    """Whether a key of ``--map`` names a place."""
    first, *rest = key.split("/")
    return all(rest) and (
        (first in SPLITS and len(rest) == 2)
        or (first in QUANTITIES and len(rest) == 1)
        or (first == "similarity" and len(rest) == 2)
        or (first in CLOCKS and not rest)
    )


def fields(key: str) -> list[str]:
    """Return the names that stand in braces."""
    return re.findall(r"{([^{}]+)}", key)


def place(key: str, values: Mapping[str, str]) -> Place:
    """Return what a key of ``--map`` names.

    Parameters
    ----------
    key
        Such as ``train/left/loss``, ``fisher/left``, ``similarity/left/right`` or ``tokens``.
    values
        What stands for the names in braces.

    Raises
    ------
    TrajlabError
        If the key has another form, or a name in braces no value.
    """
    if not is_place(key) and not fields(key):
        raise TrajlabError(f"{key!r} is nothing to map to; write {FORMS}")
    for name in fields(key):
        if name not in values:
            raise TrajlabError(
                f"{key!r} needs {{{name}}}, which is no column and not in --name; there is "
                f"{', '.join(values) or 'none'}"
            )
    # filled in part by part, as a task's name may have slashes
    first, *rest = (re.sub(r"{([^{}]+)}", lambda m: values[m[1]], p) for p in key.split("/"))
    if first in SPLITS and len(rest) == 2:
        return Place(f"evaluations/{first}", rest[1], rest[0])
    if first == "similarity" and len(rest) == 2:
        if rest[0] == rest[1]:
            raise TrajlabError(f"{key!r} is the similarity of {rest[0]} to itself; name a pair")
        return Place("similarity", "cosine", *rest)
    if first in QUANTITIES and len(rest) == 1:
        return QUANTITIES[first]._replace(task=rest[0])
    if first in CLOCKS and not rest:
        return Place("", first)
    raise TrajlabError(f"{'/'.join([first, *rest])!r} is nothing to map to; write {FORMS}")


def wizard(found: Sequence[str]) -> str:
    """Say what series were found, and how one of them might be mapped."""
    shown = ", ".join(map(repr, found[:_SHOWN])) + (", …" if len(found) > _SHOWN else "")
    held_out = [s for s in found if any(word in s.lower() for word in ("val", "test", "dev"))]
    losses = [s for s in found if "loss" in s.lower()]
    trained = next((s for s in losses if s not in held_out), (losses or [*found, "SERIES"])[0])
    split = next((s for s in SPLITS if s[:3] in trained.lower()), "train")
    said = (
        f"found {shown or 'none'}; name each one, for example --map {split}/TASK/loss={trained!r}"
    )
    metric = next((s for s in held_out if s not in losses and s not in CLOCKS), None)
    return said if metric is None else f"{said} --map test/TASK/METRIC={metric!r}"
