"""What a table and a column are."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from trajlab.errors import TrajlabError

# What stands in a row that was written without the column: integers have no NaN, and every
# integer that is recorded (counts, epochs, packed bits) is at least 0.
_FILLS: dict[str, Any] = {
    "float64": np.nan,
    "float32": np.nan,
    "int64": -1,
    "int32": -1,
    "uint8": 0,
    "uint16": 0,
    "bool": False,
    "str": "",
}

GROWING = {"layer"}  # axes that may gain labels at their end while a run is recorded
_SHOWN = 20  # labels that an error lists

RESERVED = {
    *("units", "description", "crc32", "key", "kind"),
    *("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"),
}


def text(value: object) -> str:
    """Return `value` if it is text that HDF5 can hold.

    Raises
    ------
    TrajlabError
        If it is not: another type, or with NUL characters or lone surrogates.
    """
    if isinstance(value, str) and "\0" not in value:
        with suppress(UnicodeEncodeError):
            value.encode()
            return value
    raise TrajlabError(f"{value!r} is not text that can be stored; give plain text")


def _check_attributes(owner: str, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        try:
            values = np.asarray(value)
            storable = values.ndim <= 1 and values.dtype.kind in "biufU" and name not in RESERVED
            # as they were given: of a text and a number NumPy makes two texts
            for item in np.asarray(value, object).ravel() if values.dtype.kind == "U" else ():
                text(item)
        except ValueError:
            storable = False
        if not storable:
            raise TrajlabError(
                f"attribute {name} of {owner} is {value!r}; give text, a number, a flag or a flat "
                f"list of them, under a name that HDF5 and trajlab do not use"
            )


def _joined(before: Sequence[Any], now: Sequence[Any]) -> tuple[Any, ...]:
    known = set(before)
    return (*before, *(label for label in now if label not in known))


class AbsentError(TrajlabError, KeyError):
    """There is no such table or column; the sentence names those there are."""

    __str__ = Exception.__str__  # KeyError would print its repr


@dataclass(frozen=True)
class Column:
    """One named quantity of a table.

    Parameters
    ----------
    name
        The field's term for the quantity.
    axes
        Names of its axes; the first is always ``step``.
    dtype
        ``float64``, ``float32``, ``int64``, ``int32``, ``uint8``, ``uint16``, ``bool`` or ``str``.
    units, description
        Written beside the numbers.
    attributes
        Further facts: text, numbers, flags or flat lists of them.

    Raises
    ------
    TrajlabError
        If the first axis is not ``step``, an axis appears twice or the dtype is unknown.
    """

    name: str
    axes: tuple[str, ...] = ("step",)
    dtype: str = "float64"
    units: str = ""
    description: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.axes[:1] != ("step",) or len(set(self.axes)) != len(self.axes):
            raise TrajlabError(
                f"column {self.name} has axes {self.axes}; give distinct axes that begin with step"
            )
        if self.dtype not in _FILLS:
            raise TrajlabError(
                f"column {self.name} has dtype {self.dtype!r}; use one of {', '.join(_FILLS)}"
            )
        text(self.units)
        text(self.description)
        _check_attributes(f"column {self.name}", self.attributes)

    @property
    def fill(self) -> Any:
        """What stands in a row that was written without this column."""
        return _FILLS[self.dtype]

    @property
    def unlisted(self) -> Any:
        """What stands at a label of a growing axis that a row was written without."""
        return self.attributes.get("unlisted", self.fill)

    def widened(self, values: "np.ndarray[Any, Any]", shape: tuple[int, ...]) -> Any:
        """Return values of rows with fewer labels as rows of the given shape."""
        if values.shape[1:] == shape:
            return values
        wide = np.full((len(values), *shape), self.unlisted, self.storage)
        wide[(slice(None), *(slice(n) for n in values.shape[1:]))] = values
        return wide

    @property
    def storage(self) -> np.dtype[Any]:
        """The NumPy dtype of its values in memory; text is held as objects."""
        return np.dtype(object if self.dtype == "str" else self.dtype)


@dataclass(frozen=True)
class Table:
    """Columns that share the axis ``step``.

    Parameters
    ----------
    name
        ``losses``, ``evaluations/train``; a slash makes a group that holds only tables.
    columns
        The quantities beside ``step``.
    coordinates
        Labels of every axis but ``step``: texts, whole numbers or floats.
    attributes
        Facts about all rows: estimator, seed, whether the layers are complete.
    key
        Columns that tell rows apart: of two rows with equal keys the later one holds.
    kind
        ``training`` rows at step k belong to update k, ``evaluation`` rows to the weights after k
        updates. A run resumed from step k supersedes its training rows from k on and its
        evaluation rows after k.
    """

    name: str
    columns: tuple[Column, ...]
    coordinates: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    key: tuple[str, ...] = ("step",)
    kind: Literal["training", "evaluation"] = "training"

    def __post_init__(self) -> None:
        for axis, labels in self.coordinates.items():
            _check_attributes(f"table {self.name}", {f"coordinate {axis}": labels})
        plain = {axis: tuple(np.asarray(v).tolist()) for axis, v in self.coordinates.items()}
        object.__setattr__(self, "coordinates", plain)
        _check_attributes(f"table {self.name}", self.attributes)
        names = ["step", *plain, *(column.name for column in self.columns)]
        groups = self.name.split("/")
        if len(set(names)) != len(names) or any(
            "/" in text(name) or name in {"", "."} for name in (*names, *groups)
        ):
            raise TrajlabError(
                f"table {self.name!r} needs distinct column and axis names without slashes, "
                f"not {', '.join(names)}"
            )

    @property
    def axes(self) -> tuple[str, ...]:
        """Every axis that a column uses, ``step`` first, in the order of appearance."""
        return tuple(dict.fromkeys(["step", *(a for c in self.columns for a in c.axes)]))

    def column(self, name: str) -> Column:
        """Return the column called `name`.

        Raises
        ------
        AbsentError
            If there is none.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise AbsentError(
            f"table {self.name} has no column {name!r}; it has "
            f"{', '.join([*self.axes, *(c.name for c in self.columns)])}"
        )

    def shape(self, column: Column) -> tuple[int, ...]:
        """Shape of one row of `column`: the lengths of its axes after ``step``."""
        missing = [axis for axis in column.axes[1:] if axis not in self.coordinates]
        if missing:
            raise TrajlabError(
                f"table {self.name} lacks the coordinates of axis {missing[0]}, which its column "
                f"{column.name} uses; declare them"
            )
        return tuple(len(self.coordinates[axis]) for axis in column.axes[1:])

    def only(self, *names: str) -> "Table":
        """Return the same table with none but the named columns."""
        columns = tuple(self.column(name) for name in names)
        used = {axis for column in columns for axis in column.axes}
        return replace(
            self,
            columns=columns,
            coordinates={a: v for a, v in self.coordinates.items() if a in used},
            key=tuple(name for name in self.key if name == "step" or name in names),
        )

    def joined(self, later: "Table") -> "Table":
        """Return this table with the columns, layers and attributes that `later` adds or renews.

        Raises
        ------
        TrajlabError
            If the two contradict each other: another axis, dtype, coordinate, key or kind.
        """
        grown = {
            axis: _joined(self.coordinates[axis], later.coordinates[axis])
            for axis in GROWING & self.coordinates.keys() & later.coordinates.keys()
        }
        for axis in (self.coordinates.keys() & later.coordinates.keys()) - GROWING:
            before, now = self.coordinates[axis], later.coordinates[axis]
            if len(before) != len(now) and max(len(before), len(now)) > _SHOWN:
                raise TrajlabError(
                    f"table {self.name} was declared with {len(before)} labels of axis {axis}, "
                    f"not {len(now)}; give as many each time"
                )
            # repr makes NaN equal to itself
            if repr(before) != repr(now):
                raise TrajlabError(
                    f"table {self.name} was declared with {axis} = {list(before)}, not {list(now)}"
                )
        if (self.key, self.kind) != (later.key, later.kind):
            raise TrajlabError(f"table {self.name} was declared with another key or kind")
        columns = {column.name: column for column in self.columns}
        for column in later.columns:
            old = columns.setdefault(column.name, column)
            if (old.axes, old.dtype) != (column.axes, column.dtype):
                raise TrajlabError(
                    f"column {column.name} of table {self.name} was declared as {old.dtype} "
                    f"{old.axes}, not {column.dtype} {column.axes}"
                )
            columns[column.name] = column
        return replace(
            self,
            columns=tuple(columns.values()),
            coordinates={**self.coordinates, **later.coordinates, **grown},
            attributes={**self.attributes, **later.attributes},
        )
