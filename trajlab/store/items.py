"""Which items of a data set were classified rightly: one bit an item, eight to a byte."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trajlab.errors import TrajlabError
from trajlab.store.rows import Array
from trajlab.store.table import Column

PACKED = "packed_axis"  # marks a column of bits, and names what its last axis packs
COLUMNS = (
    Column("items", ("step", "task"), "int64", "", "items in `correct`, -1 where there is none"),
    Column(
        "correct",
        ("step", "task", "item_byte"),
        "uint8",
        "",
        "whether each item was right, the first in the highest bit",
        {PACKED: "item"},
    ),
)


def pack(flags: Mapping[str, Any], tasks: Sequence[str]) -> dict[str, Array]:
    """Arrange flags as one row of `COLUMNS`.

    Parameters
    ----------
    flags
        ``{task: (n,) flags}``; n may differ from task to task.
    tasks
        All declared tasks; one without flags has -1 items.

    Returns
    -------
    dict of str to numpy.ndarray
        ``items`` (task,) and ``correct`` (task, item_byte).

    Raises
    ------
    TrajlabError
        If the flags of a task are not a flat array of one item or more.
    """
    arrays = {task: np.asarray(values) for task, values in flags.items()}
    for task, array in arrays.items():
        if array.dtype != bool or array.ndim != 1 or not array.size:
            raise TrajlabError(
                f"correct of task {task!r} must be a flat array of flags, one an item, not "
                f"{array.dtype} of shape {array.shape}; give a metric of one number another name"
            )
    items = np.array([arrays[task].size if task in arrays else -1 for task in tasks])
    width = -(-items.max() // 8)
    correct = np.zeros((len(tasks), width), np.uint8)
    for i, task in enumerate(tasks):
        if task in arrays:
            packed = np.packbits(arrays[task])
            correct[i, : len(packed)] = packed
    return {"items": items, "correct": correct}


def unpack(items: Array, correct: Array) -> "np.ma.MaskedArray[Any, np.dtype[np.bool_]]":
    """Undo `pack`, for all rows of a table.

    Parameters
    ----------
    items
        Shape (step, task).
    correct
        Shape (step, task, item_byte).

    Returns
    -------
    numpy.ma.MaskedArray
        Flags of shape (step, task, item), masked where a task had no such item at that step.
    """
    count = max(0, items.max(initial=0))
    flags = np.unpackbits(correct, axis=-1, count=count).astype(bool)
    return np.ma.MaskedArray(flags, mask=np.arange(count) >= items[..., None])
