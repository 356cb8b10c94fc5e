"""What the numbers allow one to say about each task, in words; nothing stronger.

Each analysis says itself which sentences its result allows; here they become one table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from trajlab.analysis.interface.result import Result
from trajlab.analysis.interface.tables import Head
from trajlab.lazy import pd


def verdict(results: Iterable[Result], *, margin: float | None = None) -> pd.DataFrame:
    """Put the results of analyses into words.

    Parameters
    ----------
    results
        Results of analyses, in the order in which they are to be told.
    margin
        δ, the largest difference that does not matter, in units of the metric. Without it,
        equivalence is not tested and no number of seeds is given.

    Returns
    -------
    DataFrame
        One row a sentence: the group's keys, `task` (empty where a sentence is of a whole group),
        `baseline, n_baseline, n_runs, metric, sentence`, its `numbers` as text, and the `reason`
        where some are missing.
    """
    return pd.DataFrame(row for result in results for row in _rows(result, margin))


def _rows(result: Result, margin: float | None) -> Iterator[dict[str, Any]]:
    keys = result.options.keys
    for about, task, (sentence, numbers) in result.sentences(margin):
        known = {name: value for name, value in numbers.items() if np.isfinite(value)}
        head = Head(
            keys={key: about[key] for key in keys if key in about},
            task=task,
            baseline=about["baseline"],
            n_baseline=about["n_baseline"],
            n_runs=about["n_runs"],
        )
        yield head.row(
            about["reason"] if task else "",
            metric=about.get("metric", ""),
            sentence=sentence,
            numbers=", ".join(f"{name} = {value:.6g}" for name, value in known.items()),
        )
