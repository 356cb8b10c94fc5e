"""Ten users' files and the lines of docs/logs.md that bring them in, typed as they stand there.

Which of two trainings is better at equal loss: the better one is by .02, whatever the log.
"""

import csv
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from trajlab import load
from trajlab.analysis import gap, runs_from_frame
from trajlab.cli.main import main

DOCS = (Path(__file__).parents[3] / "docs" / "logs.md").read_text(encoding="utf-8")
BONUS = 0.02


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def curve(
    seed: int, better: bool, tasks: int = 1
) -> Iterator[tuple[int, list[float], list[float]]]:
    """Training loss and test accuracy by epoch, of each task."""
    noise = np.random.default_rng([seed, better])
    for k in range(12):
        loss = [2 * 0.75**k * np.exp(0.02 * noise.normal()) for _ in range(tasks)]
        yield k, loss, [0.9 - 0.1 * value + BONUS * better for value in loss]


def table(path: str, header: str, rows: list[list[Any]]) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])


def type_in(command: str) -> None:
    """Type a command as it stands in the docs, after `trajlab`."""
    words = [
        found
        for word in re.findall(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+", command)
        for found in (
            sorted(glob(word)) if "*" in word and word[0] not in "'\"" else shlex.split(word)
        )
    ]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output


def line(start: str) -> str:
    """Return the command of the docs that begins so."""
    (found,) = set(re.findall(rf"`(?:trajlab )?({re.escape(start)}[^`]*)`", DOCS))
    return found


def block(start: str) -> list[str]:
    """Return the lines of the docs' example of which one begins so."""
    (found,) = (part for part in DOCS.split("\n\n") if f"\n    {start}" in f"\n{part}")
    return [each.strip() for each in found.splitlines()]


def answer(baseline: str, **wanted: float) -> None:
    """Compare the gap at equal loss of each task with what it is."""
    summary = gap(load("runs"), baseline={"method": baseline}).summary
    found = summary.groupby("task")["matched"].mean()
    assert found.to_dict() == pytest.approx(wanted, abs=0.004)


@pytest.mark.filterwarnings("ignore:.*without anything of:UserWarning")
def test_a_sweep_of_csv_files_each_task_alone_and_together() -> None:
    for seed in range(2):
        for task, name in (("seg", "miou"), ("depth", "abs_err")):
            sign = 1 if task == "seg" else -1
            rows = [[k, loss[0], sign * acc[0]] for k, loss, acc in curve(seed, False)]
            table(f"sweep/stl_{task}_seed{seed}.csv", f"epoch,train_{task}_loss,test_{name}", rows)
        header = "epoch,train_seg_loss,train_depth_loss,test_miou,test_abs_err"
        for method in ("equal", "pcgrad"):
            both = [[k, *loss, acc[0], -acc[1]] for k, loss, acc in curve(seed, True, tasks=2)]
            table(f"sweep/{method}_seed{seed}.csv", header, both)
    given, *commands = block("MAP=")
    for command in commands:
        type_in(command.removeprefix("trajlab ").replace("$MAP", given[5:-1]))
    answer("single", seg=BONUS, depth=BONUS)


def test_one_table_of_a_sweep() -> None:
    for method in ("adamw", "lion"):
        for seed in range(2):
            rows = [[k, loss[0], acc[0]] for k, loss, acc in curve(seed, method == "lion")]
            table(f"sweep/{method}_seed{seed}.csv", "epoch,train_loss,val_acc", rows)
    for command in block("trajlab import csv sweep/ "):
        type_in(command.removeprefix("trajlab "))
    answer("adamw", lm=BONUS)


def test_one_row_a_run() -> None:
    rows = [
        [method, seed, 0.7 + 0.01 * i, 0.6 - 0.01 * i, i / 10]
        for i, method in enumerate(("uniform", "pcgrad", "mgda"))
        for seed in range(2)
    ]
    table("sweep.csv", "method,seed,seg,depth,cosine", rows)
    type_in(line("front --table"))
    type_in(line("correlate --table"))


def test_rows_of_json() -> None:
    for method in ("adamw", "lion"):
        for seed in range(2):
            rows = [
                {"step": 10 * (k + 1), "train": {"loss": loss[0]}, "eval": {"acc": acc[0]}}
                for k, loss, acc in curve(seed, method == "lion")
            ]
            file = Path("logs") / f"{method}-{seed}.jsonl"
            file.parent.mkdir(exist_ok=True)
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    type_in(line("import csv logs"))
    answer("adamw", lm=BONUS)


def test_files_of_an_evaluation_harness() -> None:
    for size in ("160M", "410M"):
        for k, _, acc in curve(0, size == "410M"):
            file = Path("results") / size / f"step{1000 * (k + 1)}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"results": {"piqa": {"acc": acc[0]}}, "config": {}}))
    type_in(line("import csv 'results"))
    found = gap(load("runs"), baseline={"method": "160M"}, x="step").summary
    assert found["at_equal_steps"].tolist() == pytest.approx([BONUS], abs=0.004)


def test_two_charts_of_wandb() -> None:
    runs = {(m, s): list(curve(s, m == "lion")) for m in ("adamw", "lion") for s in range(2)}
    for place, series in enumerate(("train/loss", "eval/acc"), 1):
        header = ",".join(["Step", *(f"{m}-seed{s} - {series}" for m, s in runs)])
        rows = [[10 * (k + 1), *(own[k][place][0] for own in runs.values())] for k in range(12)]
        table(f"charts/{series.replace('/', ' ')}.csv", header, rows)
    type_in(line("import wandb charts"))
    answer("adamw", lm=BONUS)


def test_two_offline_runs_of_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for better, optimizer in enumerate(("adamw", "muon")):
        run = wandb.init(mode="offline", project="lm", config={"optimizer": optimizer, "lr": 0.1})
        run.config["seed"] = 0
        for k, loss, acc in curve(0, bool(better)):
            run.log({"train/loss": loss[0], "train/global_step": 100 * k})
            run.log({"eval/accuracy": acc[0], "train/global_step": 100 * k})
        run.finish()
    wandb.teardown()  # its service may still be writing when finish returns
    type_in(line("import wandb wandb"))
    assert {run.metadata["seed"] for run in load("runs")} == {0}
    answer("adamw", lm=BONUS)


def test_states_of_the_hugging_face_trainer() -> None:
    for better, optimizer in enumerate(("adamw", "lion")):
        for seed in range(2):
            log: list[dict[str, float]] = []
            for k, loss, acc in curve(seed, bool(better)):
                for i in (3, 2, 1, 0):
                    told = {"epoch": k + 1 - i / 4, "step": 40 * (k + 1) - 10 * i}
                    log.append({**told, "loss": loss[0] * (1 + i / 10)})
                log.append({**told, "eval_accuracy": acc[0]})
            folder = Path(f"outputs/bert-{optimizer}-seed{seed}/checkpoint-120")
            folder.mkdir(parents=True)
            state = {"global_step": 120, "log_history": log}
            (folder / "trainer_state.json").write_text(json.dumps(state))
    type_in(line("import transformers outputs"))
    found = load("runs")
    assert [run.metadata["method"] for run in found] == ["adamw"] * 2 + ["lion"] * 2
    # four logs an epoch: the loss of an evaluation is their mean, and the first is as the run was
    assert found[0].table("losses")["epoch"][:5].tolist() == [0.25, 0.5, 0.75, 1, 1.25]
    summary = gap(found, baseline={"method": "adamw"}, loss="losses").summary
    assert summary["matched"].item() == pytest.approx(BONUS, abs=0.004)
    means = [sum(loss[0] * (1 + i / 10) for i in range(4)) / 4 for _, loss, _ in curve(0, False)]
    assert summary["overlap_high"].item() == pytest.approx(means[0], rel=0.05)


def test_lightning_logs_of_two_mixtures() -> None:
    for better, mixture in enumerate(("web", "web+code")):
        for seed in range(2):
            folder = Path(f"lightning_logs/version_{2 * better + seed}")
            rows = [
                row
                for k, loss, acc in curve(seed, bool(better))
                for row in ([k, 10 * k + 9, "", acc[0]], [k, 10 * k + 9, loss[0], ""])
            ]
            table(f"{folder}/metrics.csv", "epoch,step,train_loss_epoch,val_acc", rows)
            (folder / "hparams.yaml").write_text(f"mixture: {mixture}\nseed: {seed}\nlr: 0.1\n")
    type_in(line("import lightning lightning_logs"))
    answer("web", lm=BONUS)


def test_tensorboard_folders_of_training_and_validation() -> None:
    from torch.utils.tensorboard import SummaryWriter

    for better, method in enumerate(("uniform", "mgda")):
        for seed in range(2):
            log = f"logs/{method}_s{seed}"
            with SummaryWriter(f"{log}/train") as train, SummaryWriter(f"{log}/val") as val:
                for k, loss, acc in curve(seed, bool(better)):
                    train.add_scalar("loss/seg", loss[0], k)
                    val.add_scalar("iou/seg", acc[0], k)
    type_in(line("import tensorboard logs"))
    answer("uniform", seg=BONUS)


def test_evaluation_tables_of_language_models() -> None:
    for better, size in enumerate(("160M", "410M")):
        for k, loss, acc in curve(0, bool(better), tasks=2):
            rows = [
                [task, metric, values[i]]
                for i, task in enumerate(("arc", "piqa"))
                for metric, values in (("loss", loss), ("acc", acc))
            ]
            table(f"evals/{size}/step{1000 * k}.csv", "task,metric,value", rows)
    type_in(line("import csv evals"))
    small, large = load("runs")
    assert (small.metadata, large.metadata) == ({"method": "160M"}, {"method": "410M"})
    assert small.tasks == ["arc", "piqa"]
    assert small.table("evaluations/test")["step"].tolist() == list(range(0, 12_000, 1000))


def test_what_nanogpt_prints() -> None:
    for better, method in enumerate(("sgd", "sam")):
        lines = ["number of parameters: 123.59M", "compiling the model... (takes a ~minute)"]
        for k, loss, acc in curve(0, bool(better)):
            lines.append(f"step {250 * k}: train loss {loss[0]:.4f}, val loss {1 - acc[0]:.4f}")
            lines.append(f"iter {250 * k}: loss {loss[0]:.4f}, time 241.32ms, mfu 32.1%")
        Path(f"out-{method}.log").write_text("\n".join(lines))
    convert, bring = block("for f in *.log")
    subprocess.run(["bash", "-c", convert], check=True)
    type_in(bring.removeprefix("trajlab "))
    answer("sgd", lm=BONUS)


def test_histories_of_keras() -> None:
    Path("histories").mkdir()
    for better, method in enumerate(("relu", "gelu")):
        for seed in range(2):
            _, loss, acc = zip(*curve(seed, bool(better)), strict=True)
            history = {"loss": [x[0] for x in loss], "val_accuracy": [x[0] for x in acc]}
            Path(f"histories/{method}_{seed}.json").write_text(json.dumps(history))
    (code,) = re.findall(r"```python\n(.*?)```", DOCS, re.S)
    exec(code[: code.index("pd.read_parquet")], {})
    maps = "--map train/digit/loss=loss --map test/digit/accuracy=val_accuracy"
    type_in(f"import csv histories --out runs --name {{method}}_{{seed}} --step epoch {maps}")
    answer("relu", digit=BONUS)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_experiment_of_mlflow() -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed; see make logs-check")
    mlflow.set_tracking_uri(f"sqlite:///{Path('mlflow.db').absolute()}")
    mlflow.create_experiment("toy", artifact_location=Path("artifacts").absolute().as_uri())
    mlflow.set_experiment("toy")
    for better, optimizer in enumerate(("sgd", "sam")):
        with mlflow.start_run():
            mlflow.log_params({"optimizer": optimizer, "seed": 0, "lr": 0.1})
            for k, loss, acc in curve(0, bool(better)):
                mlflow.log_metrics({"train_loss": loss[0], "val_acc": acc[0]}, step=k)
    type_in(line("import mlflow ."))
    answer("sgd", lm=BONUS)


def test_a_frame_in_a_notebook() -> None:
    frame = pd.DataFrame(
        [
            [method, seed, k, loss[0], acc[0]]
            for better, method in enumerate(("adamw", "lion"))
            for seed in range(2)
            for k, loss, acc in curve(seed, bool(better))
        ],
        columns=["method", "seed", "step", "train_loss", "accuracy"],
    )
    code = line("gap(runs_from_frame")
    result = eval(code, {"gap": gap, "runs_from_frame": runs_from_frame, "frame": frame})
    assert result.summary["matched"].item() == pytest.approx(BONUS, abs=0.004)
