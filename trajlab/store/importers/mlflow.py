"""Read MLflow's local stores."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.logged import Found, LoggedRun, read_each
from trajlab.store.importers.rows import Rows
from trajlab.store.importers.texts import read_bytes


def read_mlflow(path: Path) -> Iterator[Found]:
    """Return the runs of a data base such as ``mlflow.db``, of a folder ``mlruns``, or below it.

    A store that cannot be read is `Unreadable`.

    Raises
    ------
    TrajlabError
        If mlflow is not installed.
    """
    # newer versions read a folder only if told to
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    try:
        import mlflow  # noqa: F401
    except ImportError as error:
        raise TrajlabError("mlflow is not installed; run pip install mlflow") from error
    return read_each(_stores(path.absolute()), _read)


def _stores(path: Path) -> list[Path]:
    """Return the data bases and the folders with runs: nothing else is opened, or it is made."""
    if path.is_file():
        return [path]
    # EXPERIMENT/RUN/meta.yaml
    folders = {
        run.parents[2] for run in path.rglob("meta.yaml") if (run.parent / "params").is_dir()
    }
    return sorted([*path.rglob("*.db"), *folders])


def _read(store: Path) -> Iterator[LoggedRun]:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    if store.is_file():
        read_bytes(store)
    try:
        client = MlflowClient(store.as_uri() if store.is_dir() else f"sqlite:///{store}")
        names = {e.experiment_id: e.name for e in client.search_experiments()}
        runs = list(_runs(client, list(names)))
        several = len({run.info.experiment_id for run in runs}) > 1
        for run in runs:
            called = run.info.run_name or run.info.run_id
            name = f"{names[run.info.experiment_id]}/{called}" if several else called
            rows = Rows()
            for key in run.data.metrics:
                for metric in client.get_metric_history(run.info.run_id, key):
                    rows.add(key, metric.step, metric.value, metric.timestamp / 1000)
            yield rows.run(name, dict(run.data.params))
    except (MlflowException, ImportError, OSError) as error:  # a base needs more than mlflow-skinny
        raise TrajlabError(f"mlflow cannot read {store}: {' '.join(str(error).split())}") from error


def _runs(client: Any, experiments: list[str]) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs(experiments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
