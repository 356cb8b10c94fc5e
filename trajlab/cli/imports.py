"""``trajlab import``: one command a format."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from trajlab.cli.options import DEBUG, options
from trajlab.cli.terminal import echo
from trajlab.store.importers.aim import read_aim
from trajlab.store.importers.comet import read_comet
from trajlab.store.importers.csv import import_csv
from trajlab.store.importers.lightning import read_lightning
from trajlab.store.importers.logged import Reader
from trajlab.store.importers.mlflow import read_mlflow
from trajlab.store.importers.series import import_series
from trajlab.store.importers.tensorboard import read_tensorboard
from trajlab.store.importers.trackio import read_trackio
from trajlab.store.importers.transformers import read_transformers
from trajlab.store.importers.wandb import read_wandb
from trajlab.store.trajectory import Trajectory

_LOGS: dict[str, tuple[Reader, str]] = {
    "tensorboard": (read_tensorboard, "TensorBoard event files, one run a folder below SOURCE."),
    "wandb": (read_wandb, "Weights & Biases: a folder of offline runs, or an exported CSV file."),
    "mlflow": (read_mlflow, "MLflow: a local folder mlruns, or a data base such as mlflow.db."),
    "aim": (read_aim, "Aim: a repository, the folder that holds .aim."),
    "trackio": (read_trackio, "trackio: the data bases below SOURCE, one a project."),
    "comet": (read_comet, "Comet: the archives of offline experiments below SOURCE."),
    "lightning": (read_lightning, "Lightning's CSVLogger: the metrics.csv files below SOURCE."),
    "transformers": (read_transformers, "Hugging Face: the trainer_state.json files below SOURCE."),
}


def _csv(file: tuple[str, ...], **settings: Any) -> None:
    _say(import_csv(file, **settings), settings)


def _series(read: Reader, source: Path, **settings: Any) -> None:
    _say(import_series(source, read, **settings), settings)


def _say(written: list[Path], settings: dict[str, Any]) -> None:
    echo(f"{len(written)} runs written to {settings['out']}")
    if settings["map"] is None:  # the tasks are then what series or columns are called
        tasks = dict.fromkeys(task for path in written for task in Trajectory(path).tasks)
        echo(f"Tasks: {', '.join(tasks)}")


command = click.Group(
    "import",
    help="Bring in numbers that were recorded elsewhere.",
    commands=[
        click.Command(
            "csv",
            callback=_csv,
            params=[
                click.Argument(["file"], nargs=-1, required=True),
                *options(import_csv, without={"file"}),
                DEBUG,
            ],
            help="Bring in CSV tables: one column a quantity or a task, or one row a run.",
        ),
        *(
            click.Command(
                name,
                callback=partial(_series, read),
                params=[
                    click.Argument(["source"], type=click.Path(path_type=Path)),
                    *options(import_series, without={"source", "read"}),
                    DEBUG,
                ],
                help=f"Bring in {text}",
            )
            for name, (read, text) in _LOGS.items()
        ),
    ],
)
