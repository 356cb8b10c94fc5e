"""Read the CSV files that Weights & Biases exports."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store.importers.cells import Cells
from trajlab.store.importers.lightning import updates_completed
from trajlab.store.importers.logged import Found, LoggedRun, Unreadable
from trajlab.store.importers.rows import Rows, by_step_of

LIGHTNING = "trainer/global_step"
_STEP = ("trajlab_step", LIGHTNING, "train/global_step", "global_step", "_step", "Step", "step")
_RUN = ("run", "Run", "name", "Name", "run_name", "run_id")
RUNTIME = "_runtime"
_BETWEEN = " - "  # a run's name and a series' in a chart's header
_BOUNDS = ("__MIN", "__MAX")
_SAMPLE = 500  # rows that run.history() returns unless told otherwise


def step_among(names: Collection[str]) -> str:
    """Return which of the series counts steps: the trainer's own if it is there.

    Raises
    ------
    TrajlabError
        If none does.
    """
    for name in _STEP:
        if name in names:
            return name
    raise TrajlabError(
        f"no column of steps, named {' or '.join(_STEP)}; there are {', '.join(names)}"
    )


def read_table(file: Path) -> Iterator[Found]:
    """Return the runs of a CSV export.

    It has a column of steps and one a series; several runs are told apart by a column ``run`` or
    ``name``, or by headers ``RUN - SERIES`` as the web page writes them. Where a name has `` - ``
    in itself, each way to read the header is a run, and ``--map`` chooses by the series' name.

    Raises
    ------
    TrajlabError
        If it has no column of steps.
    """
    cells = Cells(file)
    try:
        step_among(cells.header)
    except TrajlabError as error:
        raise TrajlabError(
            f"{file} has {error}; a table with one row a run comes in with trajlab import csv"
        ) from error
    column = next((name for name in _RUN if name in cells.header), None)
    charted = [c for c in cells.header if _BETWEEN in c and not c.endswith(_BOUNDS)]
    runs = _charts(cells, charted) if column is None and charted else _groups(cells, column)
    for run in runs:
        try:
            yield replace(counted(run), origin=run.origin)
        except TrajlabError as error:
            yield Unreadable(f"{file}: {error}")


def counted(run: LoggedRun) -> LoggedRun:
    """Return a run, of which each row has a step of its own, by the step that W&B's users mean.

    W&B's ``_runtime``, in seconds, is its ``wall_time``.

    Raises
    ------
    TrajlabError
        If no series counts steps, or a step is not whole.
    """
    if not run.series:
        return run
    step = step_among(run.series)
    if RUNTIME in run.series and "wall_time" not in run.series:
        run = replace(run, series={**run.series, "wall_time": run.series[RUNTIME]})
    run = by_step_of(run, step)
    return replace(run, series=updates_completed(run.series)) if step == LIGHTNING else run


def _charts(cells: Cells, charted: list[str]) -> Iterator[LoggedRun]:
    apart: dict[str, dict[str, str]] = {}
    for column in charted:
        words = column.split(_BETWEEN)
        for i in range(1, len(words)):
            run, series = _BETWEEN.join(words[:i]), _BETWEEN.join(words[i:])
            apart.setdefault(run, {})[series] = column
    others = {name: name for name in cells.header if _BETWEEN not in name}
    for run, columns in apart.items():
        notes = [*cells.notes]
        bounds = [c + b for c in columns.values() for b in _BOUNDS if c + b in cells.header]
        if any(cells.numbers(bound) != cells.numbers(bound[:-5]) for bound in bounds):
            notes.append(
                "the chart shows means over several steps (its __MIN and __MAX differ); the run's "
                "own history has them all"
            )
        rows = Rows()
        _take(rows, _numbers(cells, others | columns), range(len(cells.lines)))
        # a chart holds one quantity: the same run in another chart's file is the same run
        yield replace(rows.run(run, {}, notes), origin=f"charts of {run}")


def _groups(cells: Cells, column: str | None) -> Iterator[LoggedRun]:
    names = cells.texts(column) if column else [cells.path.stem] * len(cells.lines)
    numeric = _numbers(
        cells, {c: c for c in cells.header if c and c != column and cells.numeric(c)}
    )
    texts = [c for c in cells.header if c and c != column and c not in numeric]
    for name in dict.fromkeys(names):
        places = [i for i, other in enumerate(names) if other == name]
        rows, notes = Rows(), [*cells.notes]
        _take(rows, numeric, places)
        if len(places) == _SAMPLE:
            notes.append(
                f"it has {_SAMPLE} rows, as many as run.history() samples; run.scan_history() "
                f"returns all"
            )
        told = {c: {cells.column(c)[i] for i in places} for c in texts}
        same = {c: values.pop() for c, values in told.items() if len(values) == 1}
        yield rows.run(name, {c: v for c, v in same.items() if v}, notes)


def _numbers(cells: Cells, columns: Mapping[str, str]) -> dict[str, Sequence[float | None]]:
    return {series: cells.numbers(column) for series, column in columns.items()}


def _take(rows: Rows, values: Mapping[str, Sequence[float | None]], places: Iterable[int]) -> None:
    for series, column in values.items():
        for i in places:
            value = column[i]
            if value is not None:
                rows.add(series, i, value)
