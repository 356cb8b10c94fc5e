"""The same two runs, logged by the packages themselves.

Each function makes a log in a folder and returns what to import; it needs its package alone.
As a script: its name and the folder.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Logged = dict[int, float]

STEPS = (0, 10, 20)
RUNS: dict[str, dict[str, Any]] = {
    "single-0": {"method": "single", "seed": 0},
    "uniform-1": {"method": "uniform", "seed": 1},
}


def logged(run: str) -> dict[str, Logged]:
    """What each run logs by series and step; 32 bits hold the numbers exactly."""
    seed = RUNS[run]["seed"]
    return {
        "loss_left": {step: 2.5 / (1 + step // 10) ** 2 + seed / 8 for step in (0, 10)} | {20: 0.5},
        "acc_left": {step: 0.5 + step / 64 + seed / 16 for step in STEPS[1:]},
    }


def rows(run: str) -> list[tuple[int, dict[str, float]]]:
    """What is logged at each step."""
    series = logged(run)
    return [(k, {n: own[k] for n, own in series.items() if k in own}) for k in STEPS]


def tensorboard(folder: Path) -> Path:
    from torch.utils.tensorboard import SummaryWriter

    return _events(folder, SummaryWriter)


def tensorboardx(folder: Path) -> Path:
    from tensorboardX import SummaryWriter

    return _events(folder, SummaryWriter)


def _events(folder: Path, writer: Callable[[str], Any]) -> Path:
    for run in RUNS:
        with writer(str(folder / run)) as summary:
            for step, values in rows(run):
                for name, value in values.items():
                    summary.add_scalar(name, value, step)
            summary.add_hparams(RUNS[run], {"hparam/acc": logged(run)["acc_left"][20]})
    return folder


def wandb(folder: Path) -> Path:
    """Log one run in two sessions, and what takes more than a block of the file."""
    import wandb

    folder.mkdir()
    for run, config in RUNS.items():
        *most, last = rows(run)
        for part in (most, [last]) if run == "single-0" else ([*most, last],):
            session = wandb.init(
                mode="offline",
                dir=str(folder),
                project="toy",
                name=run,
                id=run,
                resume="allow",
                config={"method": config["method"], "nested": {"not": "kept"}},
            )
            session.config.update({"seed": config["seed"]})  # as Lightning and Hugging Face do
            for step, values in part:
                session.log({**values, "text": "x" * 40_000}, step=step)
            session.finish()
    wandb.teardown()  # its service may still be writing when finish returns
    return folder / "wandb"


def mlflow(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return _mlflow(f"sqlite:///{folder / 'mlflow.db'}", folder)


def mlflow_files(folder: Path) -> Path:
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
    folder.mkdir(parents=True)
    return _mlflow((folder / "mlruns").as_uri(), folder)


def _mlflow(uri: str, folder: Path) -> Path:
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment("toy", artifact_location=(folder / "artifacts").as_uri())
    mlflow.set_experiment("toy")
    for run, config in RUNS.items():
        with mlflow.start_run(run_name=run, tags={"mlflow.source.name": "loggers.py"}):
            mlflow.log_params(config)
            for step, values in rows(run):
                mlflow.log_metrics(values, step=step)
    return folder


def aim(folder: Path) -> Path:
    import aim

    folder.mkdir(parents=True)
    quiet = {"system_tracking_interval": None, "capture_terminal_logs": False}
    repo = aim.Repo(str(folder), init=True)
    for run, config in RUNS.items():
        session = aim.Run(repo=repo, experiment="toy", **quiet)
        session.name = run
        session["hparams"] = config
        for step, values in rows(run):
            for name, value in values.items():
                session.track(value, name=name, step=step)
        session.close()
    command = Path(sys.executable).with_name("aim")
    subprocess.run([command, "storage", "--repo", folder, "reindex", "-y"], check=True)
    return folder


def trackio(folder: Path) -> Path:
    os.environ |= {"TRACKIO_DIR": str(folder), "HF_HUB_OFFLINE": "1"}
    import trackio

    for run, config in RUNS.items():
        trackio.init(project="toy", name=run, config=config)
        for step, values in rows(run):
            trackio.log(values, step=step)
        trackio.finish()
    return folder


def comet(folder: Path) -> Path:
    from comet_ml import OfflineExperiment

    folder.mkdir(parents=True)
    quiet = dict.fromkeys(
        ("log_code", "log_env_details", "auto_metric_logging", "auto_output_logging"), False
    )
    for run, config in RUNS.items():
        session = OfflineExperiment(offline_directory=str(folder), project_name="toy", **quiet)
        session.set_name(run)
        session.log_parameters(config)
        for step, values in rows(run):
            session.log_metrics(values, step=step)
        session.end()
    return folder


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
