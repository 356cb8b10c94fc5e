"""What a benchmark measured, as JSON or as lines to read."""

import json
from collections.abc import Callable, Mapping
from typing import Any


def tell(
    results: Mapping[str, Mapping[str, Any]], line: Callable[[str, Any], str], *, as_json: bool
) -> None:
    """Print all results as JSON, or under each title a line a name and result."""
    if as_json:
        print(json.dumps(results, indent=1))
        return
    for title, rows in results.items():
        print(title)
        for name, result in rows.items():
            print(line(name, result))
