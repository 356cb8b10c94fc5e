"""``trajlab watch``: losses, cosines and sharpness in the terminal, as they come."""

import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import plotext
from rich.console import Console
from rich.live import Live
from rich.text import Text

from trajlab.analysis.arrays import cosine
from trajlab.cli.options import DEBUG
from trajlab.escapes import inert
from trajlab.store import Trajectory
from trajlab.store.rows import Array

MOST = 10_000  # cosines of a pair that are drawn
Lines = dict[str, Array]  # label to one value a step


def panels(run: Trajectory) -> Iterator[tuple[str, Array, Lines]]:
    """Yield what there is to draw: a title, the steps, and a line a task or pair of tasks."""
    if "losses" in run.tables:
        table = run.table("losses")
        yield "training loss", table["step"], dict(zip(run.tasks, table["loss"].T, strict=True))
    if "gradients" in run.tables and run.table("gradients").attributes.get("complete") is not False:
        steps = run.table("gradients")["step"]
        every = -(-len(steps) // MOST) or 1
        cosines = cosine(run.gram(every=every))
        first, second = np.triu_indices(len(run.tasks), 1)
        yield (
            "cosine of task gradients",
            steps[::every],
            {
                f"{run.tasks[i]}, {run.tasks[j]}": cosines[:, i, j]
                for i, j in zip(first, second, strict=True)
            },
        )
    for name, column in (("sharpness", "value"), ("hessian", "top")):
        if name in run.tables:
            table = run.table(name)
            values = table[column].reshape(len(table["step"]), len(run.tasks), -1)[:, :, -1]
            title = "sharpness" if name == "sharpness" else "top Hessian eigenvalue"
            yield title, table["step"], dict(zip(run.tasks, values.T, strict=True))


def picture(run: Trajectory, width: int, height: int) -> str:
    """Draw a run as text with colours of the terminal."""
    drawn = list(panels(run))
    rows = max(8, (height - 2) // max(1, len(drawn)))
    pieces = [inert(f"{run.path}  {run.status}")]
    for title, steps, lines in drawn:
        plotext.clear_figure()
        plotext.theme("clear")
        plotext.plot_size(width, rows)
        plotext.title(f"{title}, step {steps[-1] if len(steps) else 0}")
        for label, values in lines.items():
            finite = np.isfinite(values)
            if finite.any():
                plotext.plot(steps[finite].tolist(), values[finite].tolist(), label=inert(label))
        pieces.append(plotext.build())
    return "\n".join(pieces)


def _run(path: Path, interval: float, once: bool) -> None:
    console = Console()
    run = Trajectory(path)

    def drawn() -> Text:
        return Text.from_ansi(picture(run, console.width, console.height))

    if once:
        console.print(drawn())
        return
    with Live(drawn(), console=console, auto_refresh=False) as live:
        while run.status == "recording":
            time.sleep(interval)
            run.refresh()
            live.update(drawn(), refresh=True)


command = click.Command(
    "watch",
    callback=_run,
    params=[
        click.Argument(["path"], type=click.Path(path_type=Path)),
        click.Option(["--interval"], type=float, default=5.0, show_default=True, help="Seconds."),
        click.Option(["--once"], is_flag=True, help="Draw once and end."),
        DEBUG,
    ],
    help="Draw losses, cosines and sharpness of a run in the terminal while it is recorded.",
)
