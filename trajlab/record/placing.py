"""Rows of the layers that are shared at present, on the axis of all that ever were."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trajlab.store import Column, Table

_AXIS = "layer"


def placed(row: Mapping[str, Any], table: Table, stored: Table) -> Mapping[str, Any]:
    """Return a row as its file takes it.

    Parameters
    ----------
    row : mapping of str to Any
        Values by column, or functions that return them.
    table : Table
        What the row was made for.
    stored : Table
        What the file holds: with the labels of that, and perhaps with more.
    """
    labels, every = table.coordinates.get(_AXIS, ()), stored.coordinates.get(_AXIS, ())
    if labels == every:
        return row
    places = [every.index(label) for label in labels]
    return {
        name: partial(_place, value, stored.column(name), places, len(every))
        if name != "step" and _AXIS in stored.column(name).axes
        else value
        for name, value in row.items()
    }


def _place(value: Any, column: Column, places: list[int], length: int) -> NDArray[Any]:
    if callable(value):
        value = value()
    if isinstance(value, Tensor):
        value = value.detach().double().cpu().numpy()
    values = np.asarray(value)
    axis = column.axes.index(_AXIS) - 1
    shape = (*values.shape[:axis], length, *values.shape[axis + 1 :])
    whole = np.full(shape, column.unlisted, column.storage)
    whole[(slice(None),) * axis + (places,)] = values
    return whole
