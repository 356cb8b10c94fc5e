"""Read MLflow's local stores."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trajlab.errors import TrajlabError
from trajlab.store.importers.logged import Found, LoggedRun, Rows


def read_mlflow(path: Path) -> Iterator[Found]:
    """Return the runs of a folder ``mlruns``, or of a data base such as ``mlflow.db``.

    Raises
    ------
    TrajlabError
        If mlflow is not installed, or cannot read the store.
    """
    # newer versions read a folder only if told to; nothing is written here
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise TrajlabError("mlflow is not installed; run pip install mlflow") from error
    path = path.absolute()
    store = path.as_uri() if path.is_dir() else f"sqlite:///{path}"
    try:
        client = MlflowClient(store)
        names = {e.experiment_id: e.name for e in client.search_experiments()}
        runs = list(_runs(client, list(names)))
        several = len({run.info.experiment_id for run in runs}) > 1
        for run in runs:
            called = run.info.run_name or run.info.run_id
            name = f"{names[run.info.experiment_id]}/{called}" if several else called
            rows = Rows()
            for key in run.data.metrics:
                for metric in client.get_metric_history(run.info.run_id, key):
                    rows.add(key, metric.step, metric.value)
            yield LoggedRun(name, dict(run.data.params), rows.series, twice=rows.twice)
    except (MlflowException, ImportError) as error:  # a data base needs more than mlflow-skinny
        raise TrajlabError(f"mlflow cannot read {path}: {' '.join(str(error).split())}") from error


def _runs(client: Any, experiments: list[str]) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs(experiments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
