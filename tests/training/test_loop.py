"""The loop: an interrupted run goes on as if it had not been, with every method and shape."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from trajlab import load
from trajlab.errors import TrajlabError
from trajlab.record import Recorder
from trajlab.training import Plan, train
from trajlab.training.checkpoint import file
from trajlab.training.checkpoint import load as load_checkpoint
from trajlab.training.methods import METHODS
from trajlab.training.optimization import SCHEDULES
from trajlab.training.settings import setting
from trajlab.training.settings.digits import digits
from trajlab.training.trainer import Trainer

PLAN = Plan(digits, "+same", "uniform", 2, 3, 64, 0.05, 0.9)


class Interrupted(Exception):  # noqa: N818
    """What ends a run in the middle."""


def interrupt(epoch: int) -> None:
    if epoch == 2:
        raise Interrupted


def frames(path: Path) -> list[pd.DataFrame]:
    (run,) = load(path)
    return [
        run.frame(name).drop(columns=["wall_time", "seconds"], errors="ignore")
        for name in run.tables
    ]


@pytest.mark.parametrize("method", [*METHODS, "pcgrad", "graddrop", "gradvac"])
def test_an_interrupted_run_equals_an_uninterrupted_one(method: str, tmp_path: Path) -> None:
    options = {"weights": [0.3, 0.7]} if method == "static" else {}
    plan = replace(PLAN, method=method, options=options)
    if method == "single":
        plan = replace(plan, condition="")
    compare_interrupted(plan, tmp_path)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_so_does_one_with_a_schedule_adam_dropout_and_epochs_of_its_own(
    schedule: str, tmp_path: Path
) -> None:
    changes = {"optimizer": "adamw", "momentum": 0.0, "dropout": 0.3, "epoch_steps": 3}
    plan = replace(PLAN, schedule={"name": schedule}, learning_rate=0.01, **changes)
    compare_interrupted(plan, tmp_path)


def compare_interrupted(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(plan, tmp_path / "halves.h5", on_epoch=interrupt)
    assert load(tmp_path / "halves.h5")[0].status == "recording"
    # what the random stream is when a run goes on must not matter
    torch.rand(7)
    train(plan, tmp_path / "halves.h5")
    train(plan, tmp_path / "whole.h5")
    halves, whole = frames(tmp_path / "halves.h5"), frames(tmp_path / "whole.h5")
    for one, other in zip(halves, whole, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert not file(tmp_path / "halves.h5").exists()


def test_a_run_leaves_the_random_stream_alone(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    train(replace(PLAN, epochs=1), tmp_path / "run.h5")
    assert torch.equal(state, torch.get_rng_state())


def test_mixed_precision_trains_near_full_precision(tmp_path: Path) -> None:
    plan = replace(PLAN, learning_rate=0.02)
    for precision in ("float32", "bfloat16"):
        train(replace(plan, precision=precision), tmp_path / f"{precision}.h5")
    full, mixed = (
        load(tmp_path / f"{name}.h5")[0].table("losses")["loss"] for name in ("float32", "bfloat16")
    )
    assert not np.array_equal(full, mixed)
    np.testing.assert_allclose(mixed[:5], full[:5], rtol=0.02)


def test_a_diverging_run_ends_early_and_is_complete(tmp_path: Path) -> None:
    train(replace(PLAN, learning_rate=1e6), tmp_path / "run.h5")
    (run,) = load(tmp_path / "run.h5")
    assert run.status == "complete"
    assert len(run.table("losses")["step"]) < 15
    assert np.isnan(run.table("evaluations/validation")["loss"][-1]).any()


@pytest.mark.parametrize("method", ["imtl", "mgda", "graddrop"])
def test_so_does_one_whose_gradients_overflow_before_its_loss(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TorchJD's linear algebra raised, which ended a whole study."""
    grad = torch.autograd.grad

    def overflown(*args: Any, **options: Any) -> Any:
        return tuple(1e30 * found for found in grad(*args, **options))

    plan = replace(PLAN, method=method)
    Trainer(plan)  # what counts operations has the plain gradients
    monkeypatch.setattr("trajlab.training.methods.aggregation.torch.autograd.grad", overflown)
    train(plan, tmp_path / "run.h5")
    (run,) = load(tmp_path / "run.h5")
    assert run.status == "complete"
    assert len(run.table("losses")["step"]) < 5
    assert np.isfinite(run.table("losses")["loss"][0]).all()
    assert np.isnan(run.table("evaluations/validation")["loss"][-1]).all()


@pytest.mark.parametrize("kept", [0, 100])
def test_a_torn_checkpoint_is_warned_of_and_the_run_begins_again(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with pytest.raises(Interrupted):
        train(PLAN, path, on_epoch=interrupt)
    saved = file(path)
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.warns(UserWarning, match=f"{saved.name} is no whole checkpoint") as caught:
        train(PLAN, path)
    assert caught[0].filename == __file__
    train(PLAN, tmp_path / "whole.h5")
    (torn,), (whole,) = load(path), load(tmp_path / "whole.h5")
    assert torn.status == "complete"
    columns = ["step", "epoch", "task", "loss"]
    pd.testing.assert_frame_equal(
        torn.frame("losses")[columns], whole.frame("losses")[columns], check_exact=True
    )


def test_a_checkpoint_that_would_run_something_is_not_read(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "touched",))

    path = tmp_path / "run.h5"
    for content, found in (({"step": torch.tensor(3)}, {"step": 3}), ({"step": Evil()}, None)):
        torch.save(content, file(path))
        path.unlink(missing_ok=True)
        assert load_checkpoint(path) is None  # of a run that is gone
        path.touch()
        if found:
            assert load_checkpoint(path) == found
            continue
        with pytest.warns(UserWarning, match=r"no whole checkpoint \(UnpicklingError\)"):
            assert load_checkpoint(path) is None
    assert not (tmp_path / "touched").exists()


def test_the_first_epoch_is_evaluated_at_fractions_of_its_steps(tmp_path: Path) -> None:
    """It changes nothing else, and epochs are still counted as whole ones."""
    plan = replace(PLAN, batch_size=32, epochs=2)
    train(plan, tmp_path / "plain.h5")
    train(replace(plan, early_evaluations=4), tmp_path / "early.h5")
    (plain,), (early,) = load(tmp_path / "plain.h5"), load(tmp_path / "early.h5")
    steps = plain.table("evaluations/test")["step"]
    wanted = sorted({round(steps[1] * 2 ** (-k / 2)) for k in (1, 2, 3, 4)})
    for split in ("train", "validation", "test"):
        table, other = (
            run.frame(f"evaluations/{split}").drop(columns="wall_time") for run in (early, plain)
        )
        both = table["step"].isin(steps)
        pd.testing.assert_frame_equal(table[both].reset_index(drop=True), other, check_exact=True)
        added = table[~both]
        assert sorted(set(added["step"])) == wanted
        assert set(added["epoch"]) == {0}
    columns = ["step", "epoch", "task", "loss"]
    pd.testing.assert_frame_equal(
        early.frame("losses")[columns], plain.frame("losses")[columns], check_exact=True
    )


def test_a_kill_within_the_first_epoch_leaves_no_evaluation_behind(tmp_path: Path) -> None:
    plan = replace(PLAN, early_evaluations=2)
    path = tmp_path / "run.h5"
    with pytest.MonkeyPatch.context() as patch:
        evaluate = Trainer.evaluate

        def stop(trainer: Trainer, recorder: Recorder) -> None:
            evaluate(trainer, recorder)
            if recorder.step:
                raise Interrupted

        patch.setattr(Trainer, "evaluate", stop)
        with pytest.raises(Interrupted):
            train(plan, path)
    train(plan, path)
    train(plan, tmp_path / "whole.h5")
    for one, other in zip(frames(path), frames(tmp_path / "whole.h5"), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_a_plain_run_has_the_weights_of_a_loop_written_out(tmp_path: Path) -> None:
    """Bit for bit: stochastic gradient descent at a constant rate, on the setting's own batches."""
    train(PLAN, tmp_path / "run.h5")
    problem = digits.build("+same", PLAN.seed)
    orders = [torch.Generator().manual_seed(1000 * PLAN.seed + task) for task in range(2)]
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.05, momentum=0.9)
    seen = []
    for _ in range(PLAN.epochs):
        rows = [torch.randperm(300, generator=order).split(64) for order in orders]
        for parts in zip(*rows, strict=True):
            splits = [task.splits["train"] for task in problem.tasks.values()]
            batches = [(x[own], y[own]) for (x, y), own in zip(splits, parts, strict=True)]
            inputs = dict(zip(problem.tasks, [x for x, _ in batches], strict=True))
            outputs = problem.model(inputs).values()
            losses = [
                cross_entropy(z, y, reduction="none").mean()
                for z, (_, y) in zip(outputs, batches, strict=True)
            ]
            (losses[0] + losses[1]).backward()
            optimizer.step()
            optimizer.zero_grad()
            seen.append([loss.item() for loss in losses])
    (run,) = load(tmp_path / "run.h5")
    assert np.array_equal(run.table("losses")["loss"], seen)


def test_steps_and_not_passes_can_make_an_epoch(tmp_path: Path) -> None:
    train(replace(PLAN, epoch_steps=7, epochs=2), tmp_path / "run.h5")
    (run,) = load(tmp_path / "run.h5")
    assert len(run.table("losses")["step"]) == 14
    assert run.table("evaluations/test")["step"].tolist() == [0, 7, 14]


def test_every_hyper_parameter_is_stored(tmp_path: Path) -> None:
    plan = replace(PLAN, epochs=1, schedule={"name": "step", "every": 2}, share={"second": 0.5})
    train(plan, tmp_path / "run.h5")
    told = load(tmp_path / "run.h5")[0].metadata
    assert told["schedule"] == {"name": "step", "every": 2}
    assert told["share"] == {"second": 0.5}
    assert {"optimizer", "label_smoothing", "width", "depth", "dropout", "overlap"} <= told.keys()
    own = replace(PLAN, method="gradnorm", options={"learning_rate": 0.5, "alpha": 0.1}).metadata
    assert (own["learning_rate"], own["method_learning_rate"], own["alpha"]) == (0.05, 0.5, 0.1)


def test_a_shape_or_smoothing_that_a_setting_has_not_is_refused(data: Path) -> None:
    with pytest.raises(TrajlabError, match="celeba has neither width, depth nor dropout"):
        replace(PLAN, setting=setting("celeba"), condition="", width=2.0).problem()
    plan = replace(PLAN, setting=setting("yeast"), condition="class1", label_smoothing=0.1)
    with pytest.raises(TrajlabError, match="label_smoothing is for tasks of several classes"):
        Trainer(plan)
