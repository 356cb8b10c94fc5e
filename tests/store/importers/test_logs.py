"""Logs that people have already, against the trajectory files of the same runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from trajlab import Recorder, load, probes
from trajlab.analysis import gap
from trajlab.cli.main import main
from trajlab.record.sinks import TensorBoard, WandB
from trajlab.store import Trajectory
from trajlab.store.importers.lightning import read_lightning
from trajlab.store.importers.logged import Unreadable
from trajlab.store.importers.series import import_series
from trajlab.store.importers.tensorboard import read_tensorboard

SPLITS = {"train": "fit", "test": "held_out"}


def curves() -> Iterator[tuple[str, int, list[dict[str, float]]]]:
    """Two methods, three seeds: training loss and test accuracy at steps 0, 10, …."""
    for method, final in (("single", 0.80), ("uniform", 0.76)):
        for seed in range(3):
            noise = np.random.default_rng([seed, len(method)])
            rows = []
            for k in range(20):
                loss = float(np.float32(2 * 0.8**k * np.exp(0.02 * noise.normal())))
                accuracy = float(np.float32(final - 0.3 * loss + 0.01 * noise.normal()))
                rows.append({"loss": loss, "accuracy": accuracy})
            yield method, seed, rows


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The gap table of the runs' trajectory files."""
    folder = tmp_path_factory.mktemp("recorded")
    model = nn.Linear(1, 1)
    for method, seed, rows in curves():
        metadata = {"setting": "toy", "method": method, "seed": seed}
        with Recorder(
            folder / f"{method}-{seed}.h5", model, tasks=["left"], metadata=metadata
        ) as recorder:
            for k, row in enumerate(rows):
                recorder.evaluate("train", {"left": {"loss": row["loss"]}}, step=10 * k)
                recorder.evaluate("test", {"left": {"accuracy": row["accuracy"]}}, step=10 * k)
    return gap(load(folder)).summary


def run(*arguments: Any) -> str:
    result = CliRunner().invoke(main, ["import", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: Any) -> str:
    result = CliRunner().invoke(main, ["import", *map(str, arguments)])
    assert result.exit_code == 2
    return " ".join(result.output.split())


MAP = ["--map", "train/left/loss=fit loss", "--map", "test/left/accuracy=held_out accuracy"]


def same_numbers(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare all but the name of the run that sets the common loss: imported runs have others."""
    named = ["common_loss_run"]
    pd.testing.assert_frame_equal(found.drop(columns=named), expected.drop(columns=named))


def test_tensorboard_folder_gives_the_same_gap(tmp_path: Path, recorded: pd.DataFrame) -> None:
    for method, seed, rows in curves():
        with SummaryWriter(str(tmp_path / "tb" / f"{method}-seed{seed}")) as writer:
            for k, row in enumerate(rows):
                writer.add_scalar("fit loss", row["loss"], 10 * k)
                writer.add_scalar("held_out accuracy", row["accuracy"], 10 * k)
                writer.add_scalar("something else", 1.0, k)
    naming = ["--name", "{method}-seed{seed}", "--const", "setting=toy"]
    said = run("tensorboard", tmp_path / "tb", "--out", tmp_path / "out", *MAP, *naming)
    assert said == f"6 runs written to {tmp_path / 'out'}\n"
    same_numbers(gap(load(tmp_path / "out")).summary, recorded)


def test_tasks_that_series_name_themselves_are_told(tmp_path: Path) -> None:
    table = pd.DataFrame({f"train/{task}/loss": [2.0, 1.0] for task in ("right", "left")})
    for name in ("a", "b"):
        folder = tmp_path / "logs" / name
        folder.mkdir(parents=True)
        table.assign(step=[1, 2]).to_csv(folder / "metrics.csv", index=False)
    said = run("lightning", tmp_path / "logs", "--out", tmp_path / "out", "--name", "{condition}")
    assert said == (
        f"2 runs written to {tmp_path / 'out'}\n"
        "Tasks: right, left, as the series are called; --map says otherwise\n"
    )


def test_wandb_csv_gives_the_same_gap(tmp_path: Path, recorded: pd.DataFrame) -> None:
    frames = [
        pd.DataFrame(rows)
        .rename(columns={"loss": "fit loss", "accuracy": "held_out accuracy"})
        .assign(_step=lambda t: 10 * t.index, name=f"{method}-{seed}", method=method)
        for method, seed, rows in curves()
    ]
    pd.concat(frames).to_csv(tmp_path / "export.csv", index=False)
    naming = ["--name", "{method}-{seed}", "--const", "setting=toy"]
    run("wandb", tmp_path / "export.csv", "--out", tmp_path / "out", *MAP, *naming)
    same_numbers(gap(load(tmp_path / "out")).summary, recorded)


def test_wandb_page_csv(tmp_path: Path) -> None:
    table = {"Step": [0, 10]}
    for name in ("a", "b"):
        table |= {f"{name} - fit loss": [1, 0.5], f"{name} - fit loss__MIN": [1, 0.5]}
    pd.DataFrame(table).to_csv(tmp_path / "chart.csv", index=False)
    arguments = ["--out", tmp_path / "out", *MAP[:2], "--name", "{condition}"]
    run("wandb", tmp_path / "chart.csv", *arguments)
    runs = load(tmp_path / "out")
    assert [r.metadata["condition"] for r in runs] == ["a", "b"]
    assert runs[0].table("evaluations/train")["loss"].tolist() == [[1], [0.5]]


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*")  # Lightning
@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_lightnings_loggers_have_the_recorders_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger

    from tests.integration.test_lightning import TEST, Module, callback, fit, loader

    monkeypatch.setenv("WANDB_SILENT", "true")
    module = Module()
    module.save_hyperparameters({"seed": 0, "method": "uniform"})
    loggers = [
        CSVLogger(str(tmp_path / "csv"), "logs", flush_logs_every_n_steps=1),
        TensorBoardLogger(str(tmp_path / "tb"), "logs"),
        WandbLogger(save_dir=str(tmp_path), offline=True, project="toy"),
    ]
    own = callback(tmp_path / "run.h5", module)
    trainer = fit(module, own, max_epochs=2, logger=loggers, log_every_n_steps=1)
    trainer.test(module, loader(TEST), verbose=False)
    loggers[2].experiment.finish()
    recorded = Trajectory(tmp_path / "run.h5").table("evaluations/validation")
    mapping = ["--map", "validation/left/accuracy=val_left_accuracy", "--meta", "seed=seed"]
    for kind, folder in (("lightning", "csv"), ("tensorboard", "tb"), ("wandb", "wandb")):
        run(kind, tmp_path / folder, "--out", tmp_path / kind, *mapping)
        (found,) = load(tmp_path / kind)
        assert found.metadata == {"seed": 0}
        table = found.table("evaluations/validation")
        # the evaluations that fit makes, before the first update too, and that of test
        assert table["step"].tolist() == recorded["step"].tolist()
        assert table["accuracy"][:, 0] == pytest.approx(recorded["accuracy"][:, 0], rel=1e-6)
        epochs = dict(zip(table["step"].tolist(), table["epoch"].tolist(), strict=True))
        assert epochs[6] == 0
    (file,) = (tmp_path / "csv").rglob("metrics.csv")
    read = pd.read_csv(file).dropna(subset="val_left_accuracy")
    assert set(read["val_left_accuracy"]) == set(table["accuracy"][:, 0])


def test_trainer_state_of_the_latest_checkpoint(tmp_path: Path) -> None:
    for step in (6, 12):
        folder = tmp_path / "runs" / "single-0" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        history = [
            {"step": k, "epoch": k / 6, "eval_train_loss": 1 / k} for k in range(6, step + 1, 6)
        ]
        state = {"global_step": step, "log_history": history}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    mapping = ["--map", "train/left/loss=eval_train_loss", "--name", "{method}-{seed}"]
    run("transformers", tmp_path / "runs", "--out", tmp_path / "out", *mapping)
    (found,) = load(tmp_path / "out")
    assert found.metadata == {"method": "single", "seed": 0}
    assert found.table("evaluations/train")["loss"][:, 0] == pytest.approx([1 / 6, 1 / 12])


def test_trainer_state_as_the_trainer_writes_it(tmp_path: Path) -> None:
    from tests.integration.test_transformers import TwoHeads, callback, sentences, train

    model = TwoHeads()
    data = {"train": sentences(24, 2), "test": sentences(10, 5)}
    settings = {"eval_strategy": "epoch", "save_strategy": "epoch", "logging_strategy": "epoch"}
    own = callback(tmp_path / "run.h5", model, probes=[])
    train(tmp_path, model, own, eval_dataset=data, num_train_epochs=2, **settings)
    arguments = ["--out", tmp_path / "in", "--map", "test/tone/accuracy=eval_test_tone_accuracy"]
    run("transformers", tmp_path / "out", *arguments)
    table = load(tmp_path / "in")[0].table("evaluations/test")
    expected = Trajectory(tmp_path / "run.h5").table("evaluations/test")
    assert table["step"].tolist() == expected["step"].tolist()
    assert table["accuracy"][:, 0] == pytest.approx(expected["accuracy"][:, 1])


def test_what_the_sinks_mirror_is_imported_without_a_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    session = wandb.init(mode="offline", dir=str(tmp_path), project="toy")
    sinks = [TensorBoard(tmp_path / "tb"), WandB(session)]
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with Recorder(
        tmp_path / "run.h5",
        model,
        tasks=["left", "right"],
        probes=[probes.TaskGradients()],
        sinks=sinks,
    ) as recorder:
        for step in range(3):
            recorder.evaluate("test", {"left": {"loss": 0.5**step}, "right": {"accuracy": step}})
            out = model(torch.ones(1, 2))
            recorder.backward({"left": out[0, 0], "right": out[0, 1]})
    session.finish()
    wandb.teardown()  # its service may still be writing when finish returns
    for kind, folder in (("tensorboard", "tb"), ("wandb", "wandb")):
        run(kind, tmp_path / folder, "--out", tmp_path / kind)
        (found,) = load(tmp_path / kind)
        table = found.table("evaluations/test")
        assert table["step"].tolist() == [0, 1, 2]
        tasks = found.tasks
        assert table["loss"][:, tasks.index("left")].tolist() == [1, 0.5, 0.25]
        assert table["accuracy"][:, tasks.index("right")].tolist() == [0, 1, 2]
    gram = Trajectory(tmp_path / "run.h5").gram()[0]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tb")).Reload()
    cosine = events.Scalars("gradients/left-right/cosine")[0].value
    assert cosine == pytest.approx(gram[0, 1] / np.sqrt(gram[0, 0] * gram[1, 1]), rel=1e-5)


def test_errors_are_a_wizard(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("_step,fit loss,top-1\n0,1,2\n")
    out = ["--out", tmp_path / "out"]
    said = refused("wandb", tmp_path / "a.csv", *out)
    assert "no series that --map names; found 'fit loss', 'top-1'; name each one" in said
    assert "--map train/TASK/loss='fit loss'" in said
    (tmp_path / "c.csv").write_text("_step,val_loss,train_loss,val_acc\n0,1,2,3\n")
    said = refused("wandb", tmp_path / "c.csv", *out)
    assert "--map train/TASK/loss='train_loss' --map test/TASK/METRIC='val_acc'" in said
    said = refused("wandb", tmp_path / "a.csv", *out, "--map", "train/left/loss=nope")
    assert "no series 'nope'; found 'fit loss', 'top-1'" in said
    said = refused("wandb", tmp_path / "a.csv", *out, "--map", "fit/left=fit loss")
    assert "'fit/left' is nothing to map to; write SPLIT/TASK/METRIC" in said
    said = refused("wandb", tmp_path / "a.csv", *out, *MAP[:2], "--name", "{m}-seed{s}")
    assert "the run 'a' is not named like '{m}-seed{s}'" in said
    said = refused("wandb", tmp_path / "a.csv", *out, *MAP[:2], "--meta", "seed=s")
    assert "no hyperparameter 's'; it has none" in said
    assert "holds no run of this format" in refused("tensorboard", tmp_path, *out, *MAP)
    assert "does not exist" in refused("tensorboard", tmp_path / "nowhere", *out, *MAP)
    (tmp_path / "b.csv").write_text("loss\n1\n")
    assert "has no column of steps" in refused("wandb", tmp_path / "b.csv", *out, *MAP)
    run("wandb", tmp_path / "a.csv", *out, *MAP[:2])
    assert "exists; use force" in refused("wandb", tmp_path / "a.csv", *out, *MAP[:2])


def test_add_scalars_and_split_folders_are_one_run(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path / "tb" / "one")) as writer:
        writer.add_scalars("loss/raw", {"left": 1.0, "right": 2.0}, 5)
    for split, value in (("train", 3.0), ("validation", 4.0)):
        with SummaryWriter(str(tmp_path / "keras" / "one" / split)) as writer:
            writer.add_scalar("epoch_loss", value, 5)
    mapping = [f"--map=train/{task}/loss=loss/raw/{task}" for task in ("right", "left")]
    run("tensorboard", tmp_path / "tb", "--out", tmp_path / "a", *mapping)
    (found,) = load(tmp_path / "a")
    assert found.tasks == ["right", "left"]
    assert found.table("evaluations/train")["loss"].tolist() == [[2, 1]]
    mapping = [f"--map={split}/t/loss={split}/epoch_loss" for split in ("train", "validation")]
    run("tensorboard", tmp_path / "keras", "--out", tmp_path / "b", *mapping)
    (found,) = load(tmp_path / "b")
    assert found.table("evaluations/train")["loss"].tolist() == [[3]]
    assert found.table("evaluations/validation")["loss"].tolist() == [[4]]


def test_an_event_file_that_breaks_off_is_told(tmp_path: Path) -> None:
    for name in ("torn", "whole"):
        with SummaryWriter(str(tmp_path / "tb" / name)) as writer:
            for step in range(1, 6):
                writer.add_scalar("loss", 1 / step, step)
    (file,) = (tmp_path / "tb" / "torn").iterdir()
    data = file.read_bytes()

    def notes() -> dict[str, Any]:
        return {run.name: run.notes for run in read_tensorboard(tmp_path / "tb")}

    assert notes() == {"torn": [], "whole": []}
    for damaged in (data[:-1], data[:-10] + b"?" + data[-9:]):  # torn; changed in its last record
        file.write_bytes(damaged)
        (said,), nothing = notes().values()
        assert f"{file.name} is torn or damaged after 5 whole records" in said  # one is its version
        assert nothing == []
    named = {"map": {"train/t/loss": "loss"}, "name": "{method}"}
    with pytest.warns(UserWarning, match="the run 'torn': .* is torn or damaged after 5"):
        import_series(tmp_path / "tb", read_tensorboard, tmp_path / "o", **named)
    lengths = [run.table("evaluations/train")["loss"].size for run in load(tmp_path / "o")]
    assert lengths == [4, 5]
    file.write_bytes(b"no frames")
    found = list(read_tensorboard(tmp_path / "tb"))
    assert [item.reason for item in found if isinstance(item, Unreadable)] == [
        f"{file} is no event file of TensorBoard, or damaged from its start"
    ]


def test_names_with_dashes_go_where_the_map_says(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("Step,a - b - loss,a - loss\n1,2,3\n")
    mapping = ["--map", "test/t/loss=loss", "--name", "{condition}"]
    run("wandb", tmp_path / "c.csv", "--out", tmp_path / "o", *mapping)
    values = {r.path.name: r.table("evaluations/test")["loss"].item() for r in load(tmp_path / "o")}
    assert values == {"a.h5": 3, "a_-_b.h5": 2}


def test_fractional_steps_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("_step,loss\n0.5,3\n")
    said = refused("wandb", tmp_path / "c.csv", "--out", tmp_path, "--map", "test/t/loss=loss")
    assert "step 0.5" in said


def test_a_run_without_the_hyperparameters_of_meta_keeps_no_other_out(tmp_path: Path) -> None:
    for run_name, text in (("a", "seed: 3\n"), ("b", "lr: 1\n")):
        (tmp_path / run_name).mkdir()
        (tmp_path / run_name / "metrics.csv").write_text("step,epoch,loss\n9,0,1.5\n19,1,0.5\n")
        (tmp_path / run_name / "hparams.yaml").write_text(text)
    named = {"map": {"train/t/loss": "loss"}, "meta": {"seed": "seed"}}
    with pytest.warns(UserWarning, match="left out: the run 'b' has no hyperparameter 'seed'"):
        import_series(tmp_path, read_lightning, tmp_path / "o", **named)
    (found,) = load(tmp_path / "o")
    table = found.table("evaluations/train")
    assert (table["step"].tolist(), table["epoch"].tolist()) == ([10, 20], [0, 1])


def test_logs_that_have_clocks_alone_are_no_run_without_a_map(tmp_path: Path) -> None:
    rows = [{"step": 10, "epoch": 0.5, "loss": 1.0, "num_input_tokens_seen": 640}]
    state = {"global_step": 10, "log_history": rows}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    said = refused("transformers", tmp_path, "--out", tmp_path / "o")
    assert "no series that --map names; found 'epoch', 'loss', 'tokens'; name each one" in said
    run("transformers", tmp_path, "--out", tmp_path / "o", "--map", "train/t/loss=loss")
    table = load(tmp_path / "o")[0].table("evaluations/train")
    assert (table["epoch"].tolist(), table["tokens"].tolist()) == ([0.5], [640])


def test_a_key_given_twice_is_no_map(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("_step,a,b\n0,1,2\n")
    maps = ["--map", "train/t/loss=a", "--map", "train/t/loss=b"]
    said = refused("wandb", tmp_path / "a.csv", "--out", tmp_path / "o", *maps)
    assert "'train/t/loss' is given twice" in said
