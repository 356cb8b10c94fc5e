"""Rows that a script wrote as JSON: an object a line, a list of objects, or one object a file."""

import json
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError


def json_rows(path: Path, text: str) -> tuple[dict[int, dict[str, str]], list[str]] | None:
    """Return the cells of each row by its line, and what was passed over; None of other text.

    Names of an object inside another are joined as ``train/loss``; a list of numbers is kept as
    its text, which is no number, and what else is neither a number nor text is blank.

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
    rows: dict[int, Any] = {}
    notes = []
    for number, line in lines.items():
        try:
            rows[number] = json.loads(line)
        except (ValueError, RecursionError) as error:
            if not rows:
                return None
            if number != max(lines):
                raise TrajlabError(
                    f"{path} has a line {number} that is no JSON: {error}"
                ) from error
            notes.append(f"line {number} of {path.name}, its last, is torn and left out")
    return _rows(path, rows), notes


def _rows(path: Path, objects: dict[int, Any]) -> dict[int, dict[str, str]]:
    rows = {n: dict(_cells("", item)) for n, item in objects.items() if isinstance(item, dict)}
    cells = [cell for row in rows.values() for cell in row.values() if cell]
    if len(rows) < len(objects) or all(is_list(cell) for cell in cells):
        raise TrajlabError(
            f"{path} is JSON without rows, which are objects of names and numbers"
            f"{unrolled(path) if cells and len(objects) == 1 else ''}"
        )
    return rows


def is_list(cell: str) -> bool:
    """Tell whether a cell is the text of a list of numbers."""
    return cell.startswith("[") and cell.endswith("]")


def unrolled(path: Path) -> str:
    """Say by which command a JSON file of lists by name becomes a table.

    Its rows are counted from 1, since what is at step 0 is taken for the initial point.

    Parameters
    ----------
    path
        The file, packed by gzip or not.
    """
    packed = path.suffix == ".gz"
    table = (path.with_suffix("") if packed else path).with_suffix(".csv")
    program = (
        f"import gzip, json, pandas; file = {'gzip.' * packed}open({json.dumps(str(path))}, "
        f'"rb"); t = pandas.json_normalize(json.load(file), sep="/"); '
        "t.explode([c for c in t if isinstance(t[c][0], list)]).reset_index(drop=True)"
        f'.rename(lambda i: i + 1).to_csv({json.dumps(str(table))}, index_label="row")'
    )
    command = f"python -c {shlex.quote(program)}"
    return f"; lists by name become a table, to be read with --step row, by: {command}"


def _cells(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _cells(f"{name}/{key}" if name else str(key), item)
    elif all(map(_is_number, value if isinstance(value, list) and value else [value])):
        yield name, repr(value)
    else:
        yield name, value.strip() if isinstance(value, str) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
