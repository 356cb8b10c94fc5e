"""``trajlab watch``: losses, cosines and sharpness in the terminal, as they come."""

import shlex
import time
from collections.abc import Iterator, Sequence
from itertools import zip_longest

import click
import numpy as np
import plotext
from rich.console import Console
from rich.live import Live
from rich.text import Text

from trajlab.analysis.arrays import cosine
from trajlab.cli.options import DEBUG
from trajlab.cli.runs import RUNS
from trajlab.errors import TrajlabError
from trajlab.escapes import inert
from trajlab.store import Runs, Trajectory
from trajlab.store.rows import Array
from trajlab.store.runs import find
from trajlab.store.view import View
from trajlab.store.watched import Watched

MOST = 10_000  # cosines of a pair that are drawn
LISTED = 6  # runs that get a line
LEAST = 6  # lines of a panel in which a curve can still be seen
Lines = dict[str, Array]  # label to one value a step


def panels(run: Trajectory) -> Iterator[tuple[str, Array, Lines]]:
    """Yield what there is to draw: a title, the steps, and a line a task or pair of tasks."""
    if "losses" in run.tables:
        table = run.table("losses")
        yield "training loss", table["step"], _by_task(table, table["loss"])
    if "gradients" in run.tables and run.table("gradients").attributes.get("complete") is not False:
        table = run.table("gradients")
        steps, tasks = table["step"], table["task"]
        every = -(-len(steps) // MOST) or 1
        cosines = cosine(run.gram(every=every))
        first, second = np.triu_indices(len(tasks), 1)
        yield (
            "cosine of task gradients",
            steps[::every],
            {
                f"{tasks[i]}, {tasks[j]}": cosines[:, i, j]
                for i, j in zip(first, second, strict=True)
            },
        )
    for name, column in (("sharpness", "value"), ("hessian", "top")):
        if name in run.tables:
            table = run.table(name)
            values = table[column].reshape(len(table["step"]), len(table["task"]), -1)[:, :, -1]
            title = "sharpness" if name == "sharpness" else "top Hessian eigenvalue"
            yield title, table["step"], _by_task(table, values)


def _by_task(table: View, values: Array) -> Lines:
    """Return a line a task of the table, which may have others than the run."""
    return dict(zip(table["task"], values.T, strict=True))


def screen(runs: Runs, width: int, height: int) -> list[str]:
    """Return the lines of a screen: the runs, those that record first, and panels of one of them.

    Parameters
    ----------
    runs
        At least one.
    width, height
        Of the terminal. No line is longer and there are no more of them, but that a panel takes at
        least six.
    """
    ordered = sorted(runs, key=lambda run: (run.status == "recording", run.created), reverse=True)
    listed = ordered[:LISTED] if len(ordered) > 1 else []
    lines = [inert(line)[:width] for line in map(_standing, listed)]
    lines += [f"… and {len(ordered) - LISTED} more"] if len(ordered) > LISTED else []
    lines += [inert(f"Skipped: {reason}")[:width] for _, reason in runs.skipped[:1]]
    lines += [inert(f"{ordered[0].path}  {ordered[0].status}")[-width:]]
    drawn = list(panels(ordered[0]))
    beside = 2 if len(drawn) > 2 else 1
    room = height - len(lines)
    rows = min(-(-len(drawn) // beside), max(1, room // LEAST))
    for first in range(0, rows * beside, beside):
        some = drawn[first : first + beside]
        built = [_panel(each, width // beside, max(LEAST, room // rows)) for each in some]
        lines += ["".join(parts) for parts in zip_longest(*built, fillvalue="")]
    left_out = [title for title, _, _ in drawn[rows * beside :]]
    return [*lines[: height - 1], f"Not drawn: {', '.join(left_out)}"] if left_out else lines


def _standing(run: Trajectory) -> str:
    from trajlab.report.live.progress import standing

    row = standing(run)
    loss = row.get("last loss", row.get("training loss", ""))
    step = f"step {row['step']}" if "step" in row else "no step yet"
    return f"{row['run']:32}  {row['status']:10}  {step}  {f'loss {loss}' if loss else ''}"


def _panel(panel: tuple[str, Array, Lines], width: int, height: int) -> Sequence[str]:
    title, steps, lines = panel
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(width, height)
    plotext.title(f"{title}, step {steps[-1] if len(steps) else 0}")
    for label, values in lines.items():
        finite = np.isfinite(values)
        if finite.any():
            plotext.plot(steps[finite].tolist(), values[finite].tolist(), label=inert(label))
    return list(plotext.build().splitlines())


def _run(runs: tuple[str, ...], interval: float, once: bool) -> None:
    console = Console()
    find(*runs)  # says what a wrong name is; later there may be nothing for a while
    watched = Watched(*runs)
    advice = f"In the browser: trajlab view {shlex.join(runs)}"

    def drawn(state: Runs) -> Text:
        lines = screen(state, console.width, console.height - 2)
        return Text.from_ansi("\n".join([*lines, inert(advice)[: console.width]]))

    state = watched.look()
    if not state:
        raise TrajlabError(state.skipped[0][1])
    if once:
        console.print(drawn(state))
        return
    with Live(drawn(state), console=console, auto_refresh=False) as live:
        while any(run.status == "recording" for run in state):
            time.sleep(interval)
            if state := watched.look():
                live.update(drawn(state), refresh=True)


command = click.Command(
    "watch",
    callback=_run,
    params=[
        RUNS,
        click.Option(["--interval"], type=float, default=5.0, show_default=True, help="Seconds."),
        click.Option(["--once"], is_flag=True, help="Draw once and end."),
        DEBUG,
    ],
    help="Draw runs in the terminal while they are recorded, the newest with its curves.",
)
