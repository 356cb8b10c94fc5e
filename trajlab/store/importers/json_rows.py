"""Rows that a script wrote as JSON: an object a line, a list of objects, or one object a file."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError


def json_rows(path: Path, text: str) -> tuple[dict[int, dict[str, str]], list[str]] | None:
    """Return the cells of each row by its line, and what was passed over; None of other text.

    Names of an object inside another are joined as ``train/loss``; what is neither a number nor
    text is blank.

    Parameters
    ----------
    path
        The file, for sentences.
    text
        What it holds.

    Raises
    ------
    TrajlabError
        If a line between others is no object, or it is JSON without rows.
    """
    if not text.lstrip().startswith(("{", "[")):
        return None
    with suppress(ValueError, RecursionError):
        whole = json.loads(text)
        objects = whole if isinstance(whole, list) else [whole]
        return _rows(path, dict(enumerate(objects, 1))), []
    lines = {n: line for n, line in enumerate(text.splitlines(), 1) if line.strip()}
    found: dict[int, Any] = {}
    notes = []
    for number, line in lines.items():
        try:
            found[number] = json.loads(line)
        except (ValueError, RecursionError) as error:
            if not found:
                return None
            if number != max(lines):
                raise TrajlabError(
                    f"{path} has a line {number} that is no JSON: {error}"
                ) from error
            notes.append(f"line {number} of {path.name}, its last, is torn and left out")
    return _rows(path, found), notes


def _rows(path: Path, objects: dict[int, Any]) -> dict[int, dict[str, str]]:
    rows = {n: dict(_cells("", item)) for n, item in objects.items() if isinstance(item, dict)}
    if len(rows) < len(objects) or not any(any(row.values()) for row in rows.values()):
        raise TrajlabError(
            f"{path} is JSON without rows, which are objects of names and numbers; lists by name "
            "become a table by pandas.DataFrame(…).to_csv(…, index_label='epoch')"
        )
    return rows


def _cells(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _cells(f"{name}/{key}" if name else str(key), item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, repr(value)
    else:
        yield name, value.strip() if isinstance(value, str) else ""
