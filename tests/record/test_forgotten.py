"""Forgotten and mistaken calls: each is one sentence that says what to do."""

import copy
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.models import TwoHeads
from trajlab import Recorder, TrajlabError, load, probes
from trajlab.record.schedule import Schedule, log_spaced
from trajlab.record.sinks import Sink, TensorBoard

TASKS = ["left", "right"]


WITHOUT_DATA = (probes.TaskGradients, probes.GradientSketch, probes.Parameters, log_spaced)


def train(path: Path, steps: int = 4, **settings: Any) -> TwoHeads:
    torch.manual_seed(0)
    model = TwoHeads()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    settings = {"optimizer": optimizer, "shared": model.trunk} | settings
    with Recorder(path, model, tasks=TASKS, **settings) as recorder:
        for _ in range(steps):
            left, right = model(torch.randn(5, 6))
            recorder.backward({"left": left.square().mean(), "right": right.square().mean()})
            optimizer.step()
            optimizer.zero_grad()
        recorder.evaluate("test", {"left": {"loss": 1.0}, "right": {"loss": 2.0}})
    return model


def refused(tmp_path: Path, how: str, sentence: str, weights: Any = None, **given: Any) -> None:
    """Call a recorder wrongly, and see that it says so, records nothing, and goes on."""
    torch.manual_seed(0)
    model = TwoHeads()
    with Recorder(tmp_path / "run.h5", model, tasks=TASKS, shared=model.trunk) as recorder:
        left, right = (z.square().mean() for z in model(torch.randn(5, 6)))
        call = {"losses": {"left": left, "right": right}, "weights": weights}
        with pytest.raises(TrajlabError, match=sentence):
            getattr(recorder, how)(**({} if how == "evaluate" else call), **given)
        assert all(p.grad is None for p in model.parameters())
        recorder.backward({"left": left, "right": right})
    run = load(tmp_path / "run.h5")[0]
    assert list(run.tables) == ["losses"]
    assert run.table("losses")["step"].tolist() == [0]
    (tmp_path / "run.h5").unlink()


class Unreachable(Sink):
    def __init__(self, after: int, closes: bool = True) -> None:
        self.left = after
        self.closes = closes

    def write(self, step: int, values: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise ConnectionError("host is down")

    def close(self) -> None:
        if not self.closes:
            raise ConnectionError("host is down")


@pytest.mark.parametrize("sink", [Unreachable(2), Unreachable(99, closes=False)])
def test_a_sink_that_fails_is_told_once_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sink: Sink
) -> None:
    plain = train(tmp_path / "plain.h5")
    caplog.clear()
    other = train(tmp_path / "sink.h5", sinks=[sink])
    assert [r.getMessage() for r in caplog.records if "Unreachable" in r.getMessage()] == [
        r.getMessage() for r in caplog.records
    ]
    assert len(caplog.records) == 1
    for one, two in zip(plain.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    (run,) = load(tmp_path / "sink.h5")
    assert run.status == "complete"
    assert run.table("losses")["step"].tolist() == [0, 1, 2, 3]


def test_a_sink_that_fails_ends_strict_training(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        train(tmp_path / "run.h5", steps=80, sinks=[Unreachable(2)], strict=True)


def test_training_that_records_nothing_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path / "some.h5", steps=1)
    assert "no training step" not in caplog.text
    train(tmp_path / "none.h5", steps=0)
    assert "neither backward() nor observe() was called" in caplog.text


def test_no_optimizer_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train(tmp_path / "with.h5")
    assert "pass optimizer=" not in caplog.text
    train(tmp_path / "without.h5", optimizer=None)
    assert caplog.text.count("pass optimizer=") == 1


def test_a_task_without_numbers_is_told_once_a_split(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = TwoHeads()
    with Recorder(tmp_path / "run.h5", model, tasks=TASKS, shared=model.trunk) as recorder:
        recorder.evaluate("train", {"left": {"loss": 1.0}, "right": {"loss": 1.0}})
        assert "lacks" not in caplog.text
        for step in range(3):
            recorder.evaluate("test", {"left": {"loss": 1.0}}, step)
    assert [r.getMessage() for r in caplog.records if "lacks" in r.getMessage()] == [
        "an evaluation on test lacks right, whose numbers are NaN; this is said once"
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["TaskGradients"], "'TaskGradients' in probes= is no probe"),
        ([probes.TaskGradients], "is no probe; give objects"),
        (probes.TaskGradients(), "give a list of probes"),
        ([probes.light()], "is no probe; give objects"),
    ],
)
def test_what_is_no_probe_is_refused_before_training(
    tmp_path: Path, given: Any, sentence: str
) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        train(tmp_path / "run.h5", probes=given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("values", [0.5, {"left": 0.5}, {"left": [0.5]}, [0.5, 0.6]])
def test_evaluations_of_another_form_are_refused(tmp_path: Path, values: Any) -> None:
    model = TwoHeads()
    with Recorder(tmp_path / "run.h5", model, tasks=TASKS, shared=model.trunk) as recorder:
        with pytest.raises(TrajlabError, match=r"give \{task: \{metric: value\}\}"):
            recorder.evaluate("test", values)
        recorder.evaluate("test", {"left": {"loss": 1.0}, "right": {"loss": 1.0}})


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        ({"left": None, "right": None}, "no task has a loss"),
        (torch.ones(2, requires_grad=True).sum(), "the losses are a Tensor"),
    ],
)
def test_losses_of_another_form_are_refused(tmp_path: Path, losses: Any, sentence: str) -> None:
    model = TwoHeads()
    with (
        Recorder(tmp_path / "run.h5", model, tasks=TASKS, shared=model.trunk) as recorder,
        pytest.raises(TrajlabError, match=sentence),
    ):
        recorder.backward(losses)


@pytest.mark.parametrize("every", [7, "epoch", [0, 3, 9], log_spaced(4)])
def test_schedules_and_probes_pickle(every: Any) -> None:
    schedule, again = Schedule(every), pickle.loads(pickle.dumps(Schedule(every)))
    assert [schedule.due(step, False) for step in range(99)] == [
        again.due(step, False) for step in range(99)
    ]
    assert str(again) == str(schedule)
    for probe in (
        probes.TaskGradients(every),
        probes.GradientSketch(every),
        probes.Parameters(every),
        probes.HessianTop(every),
        probes.Sharpness(every, data=[torch.ones(2)]),
    ):
        assert pickle.loads(pickle.dumps(probe)).quantity == probe.quantity


def test_the_log_is_quiet_where_nothing_is_forgotten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(tmp_path / "run.h5", probes=[probes.TaskGradients()])
    assert caplog.records == []


@pytest.mark.parametrize("how", ["backward", "observe"])
def test_losses_in_separate_passes_are_told_how_to_be_given(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = TwoHeads()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    settings = {"shared": model.trunk, "probes": [probes.TaskGradients()]}
    with Recorder(
        tmp_path / "run.h5", model, tasks=TASKS, optimizer=optimizer, **settings
    ) as recorder:
        for _ in range(2):
            for i, task in enumerate(TASKS):
                getattr(recorder, how)({task: model(torch.randn(5, 6))[i].square().mean()})
            optimizer.step()
            optimizer.zero_grad()
    (told,) = [m for m in caplog.messages if "first of several backward passes" in m]
    assert "task 'right' has its loss in a later one" in told
    assert "all tasks in one call" in told


def test_probes_given_to_several_runs_know_nothing_of_the_others(tmp_path: Path) -> None:
    data = [torch.randn(4, 6)]
    chosen = [*probes.light(), probes.GradientNoise(1, data)]

    def task_losses(model: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {t: z.square().mean(1) for t, z in zip(TASKS, model(x), strict=True)}

    for name in ("first", "second"):
        train(tmp_path / f"{name}.h5", probes=chosen, task_losses=task_losses)
    models = [TwoHeads(5), TwoHeads(3)]
    recorders = [
        Recorder(
            tmp_path / f"beside{i}.h5",
            model,
            tasks=TASKS,
            shared=model.trunk,
            probes=chosen,
            task_losses=task_losses,
        )
        for i, model in enumerate(models)
    ]
    for _ in range(2):
        for model, recorder in zip(models, recorders, strict=True):
            values = zip(TASKS, model(torch.ones(5, 6)), strict=True)
            recorder.observe({task: z.mean() for task, z in values})
    for recorder in recorders:
        recorder.close()
    runs = {path.stem: load(path)[0] for path in tmp_path.glob("*.h5")}
    for column in ("distance_from_start", "update_norm", "path_length"):
        one, two = (runs[name].table("parameters")[column] for name in ("first", "second"))
        assert np.array_equal(one, two, equal_nan=True)
    assert runs["second"].table("parameters")["distance_from_start"][0] == 0
    assert runs["second"].table("noise").attributes["checked_gradients"] == 6
    for name in ("beside0", "beside1"):
        assert runs[name].table("parameters")["path_length"].tolist() == [0, 0]
        assert not any(np.ravel(runs[name].table("noise")["reason"]))


def test_training_that_begins_again_begins_at_its_own_start(tmp_path: Path) -> None:
    chosen = [probes.Parameters()]
    train(tmp_path / "run.h5", probes=chosen)
    train(tmp_path / "run.h5", probes=chosen, resume=True, from_step=0)
    table = load(tmp_path / "run.h5")[0].table("parameters")
    assert table["distance_from_start"][0] == table["path_length"][0] == 0
    assert np.isnan(table["update_norm"][0])


def test_sinks_pickle_and_recorders_say_why_they_do_not(tmp_path: Path) -> None:
    sink = TensorBoard(tmp_path / "events")
    for _ in range(2):  # before and after it has written
        again = pickle.loads(pickle.dumps(sink))
        again.write(0, {"test/left/loss": 1.0})
        again.close()
        sink.write(1, {"test/left/loss": 2.0})
    sink.close()
    assert len(list((tmp_path / "events").iterdir())) == 3
    model = TwoHeads()
    with Recorder(tmp_path / "run.h5", model, tasks=TASKS, shared=model.trunk) as recorder:
        for copies in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TrajlabError, match="make it in the process that trains"):
                copies(recorder)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"task_losses": {"left": 1.0}}, "task_losses= is no function"),
        ({"predict": 3}, "predict= is no function"),
        ({"shared": ["trunk.0.weight"]}, "'trunk.0.weight', which is no parameter"),
        ({"sinks": ["tensorboard"]}, "sinks= takes a list of sinks"),
        ({"sinks": Unreachable(1)}, "sinks= takes a list of sinks"),
        ({"sinks": 5}, "sinks= takes a list of sinks"),
        ({"probes": 5}, "give a list of probes"),
        ({"scaler": True}, "give the torch.amp.GradScaler"),
        ({"lower_is_better": "mae"}, "lower_is_better='mae' must be a list of names"),
        ({"lower_is_better": 5}, "lower_is_better=5 must be a list of names"),
        ({"overhead": 2.0}, "between 0 and 1"),
        ({"overhead": "absent.h5"}, "does not exist"),
        ({"overhead": []}, "is no path"),
        ({"metadata": 5}, "metadata is a int"),
        ({"resume": True, "from_step": -1}, "cannot go on from step -1"),
        ({"resume": True, "from_step": "last"}, "cannot go on from step 'last'"),
    ],
)
def test_settings_of_another_kind_are_refused_before_training(
    tmp_path: Path, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(TrajlabError, match=sentence):
        train(tmp_path / "run.h5", **settings)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_model_and_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrajlabError, match="the model is a dict"):
        Recorder(tmp_path / "run.h5", {}, tasks=TASKS)
    for data in ("cifar", 5):
        with pytest.raises(TrajlabError, match="holds no batches; pass a loader"):
            probes.GradientNoise(1, data)


@pytest.mark.parametrize(
    ("kind", "settings", "sentence"),
    [
        (probes.Sharpness, {"rho": -1}, r"Sharpness: rho=-1 is no list"),
        (probes.Sharpness, {"rho": (0.1, -1.0)}, r"Sharpness: rho=-1.0 is out of range"),
        (probes.Sharpness, {"rho": (0.1, float("inf"))}, "give a finite number above 0"),
        (probes.Sharpness, {"rho": ()}, "is empty"),
        (probes.Sharpness, {"rho": (0.1, 0.1)}, "a number twice"),
        (probes.Sharpness, {"iterations": 0}, "iterations=0 is out of range"),
        (probes.Sharpness, {"iterations": 2.5}, "give a whole number from 1 on"),
        (probes.Sharpness, {"chance": 0.5}, "is no mapping"),
        (probes.Sharpness, {"chance": {"left": "log 3"}}, "'log 3' for task 'left'"),
        (probes.GradientNoise, {"population": -5}, "GradientNoise: population=-5"),
        (probes.GradientNoise, {"seed": 2**32}, "whole number from 0 to 4294967295"),
        (probes.FisherTrace, {"seed": -1}, "FisherTrace: seed=-1"),
        (probes.HessianTop, {"trace_probes": -1}, "trace_probes=-1"),
        (probes.HessianTop, {"trace_probes": 1}, "no scatter"),
        (probes.HessianDensity, {"runs": 0}, "HessianDensity: runs=0"),
        (probes.HessianDensity, {"nodes": True}, "HessianDensity: nodes=True"),
        (probes.ExampleConflict, {"sizes": 4}, "sizes=4 is no list"),
        (probes.ExampleConflict, {"sizes": (1, 0)}, "sizes=0 is out of range"),
        (probes.TaskAffinity, {"learning_rate": -0.1}, "learning_rate=-0.1"),
        (probes.TaskGradients, {"size": 1}, "give a whole number from 2 on"),
        (probes.TaskGradients, {"memory": "1 GB"}, "memory='1 GB'"),
        (probes.GradientSketch, {"size": 0}, "GradientSketch: size=0"),
        (probes.Parameters, {"start": "first.pt"}, "give the weights by name"),
        (probes.Parameters, {"every": [0, -1]}, "every=-1 is out of range"),
        (probes.Parameters, {"every": [0.5]}, "every=0.5 is out of range"),
        (probes.Parameters, {"every": np.arange(3)}, "is no schedule"),
        (log_spaced, {"per_decade": 0}, "per_decade=0"),
    ],
)
def test_numbers_out_of_range_are_refused_where_they_are_given(
    kind: Any, settings: dict[str, Any], sentence: str
) -> None:
    data = {} if kind in WITHOUT_DATA else {"data": [torch.ones(2)]}
    with pytest.raises(TrajlabError, match=sentence):
        kind(**data, **settings)


def test_numbers_at_the_end_of_their_range_are_taken() -> None:
    data = [torch.ones(2)]
    probes.Sharpness(1, data, rho=np.logspace(-3, -1, 3), iterations=1, seed=2**32 - 1)
    probes.Sharpness(1, data, rho=[np.float32(1e-30)], chance={"left": float("inf")})
    probes.HessianTop(1, data, trace_probes=2)
    probes.HessianDensity(1, data, runs=np.int64(1), nodes=1)
    probes.ExampleConflict(1, data, sizes=[1])
    probes.GradientNoise(1, data, population=1)
    probes.TaskGradients(range(3), size=2, memory=0)
    log_spaced(1)


@pytest.mark.parametrize(
    "weights", ["ab", 3, {"left": "1", "right": 1}, {"left": None, "right": 1}]
)
@pytest.mark.parametrize("how", ["backward", "observe"])
def test_weights_of_another_form_are_refused(tmp_path: Path, how: str, weights: Any) -> None:
    refused(tmp_path, how, r"the weight.* give a (number|mapping)", weights)


@pytest.mark.parametrize("how", ["backward", "observe"])
def test_weights_of_no_task_are_refused(tmp_path: Path, how: str) -> None:
    refused(tmp_path, how, "'up' is not declared", {"left": 1.0, "right": 1.0, "up": 1.0})


@pytest.mark.parametrize("accumulate", [1.5, 0, -2, True, "2", None])
@pytest.mark.parametrize("how", ["backward", "observe"])
def test_accumulate_is_a_number_of_passes(tmp_path: Path, how: str, accumulate: Any) -> None:
    refused(tmp_path, how, "accumulate=.* whole number from 1 on", accumulate=accumulate)


@pytest.mark.parametrize("step", [-1, 0.5, "3"])
def test_a_step_is_a_whole_number(tmp_path: Path, step: Any) -> None:
    refused(tmp_path, "observe", "step=.* whole number from 0 on", step=step)
    values = {"left": {"loss": 1.0}, "right": {"loss": 1.0}}
    refused(
        tmp_path,
        "evaluate",
        "step=.* whole number from 0 on",
        split="test",
        values=values,
        step=step,
    )


@pytest.mark.parametrize("values", [{}, {"left": {}}, {"left": {}, "right": {}}])
def test_evaluations_without_a_number_are_refused(tmp_path: Path, values: Any) -> None:
    refused(tmp_path, "evaluate", "holds no number", split="test", values=values)


@pytest.mark.parametrize("value", ["0.5", b"1", "nan", "high", None, [1.0, 2.0]])
def test_evaluations_take_no_text(tmp_path: Path, value: Any) -> None:
    values = {"left": {"loss": 1.0}, "right": {"loss": value}}
    refused(tmp_path, "evaluate", "loss of task 'right' is", split="test", values=values)


def test_clocks_and_metrics_of_another_kind_are_refused(tmp_path: Path) -> None:
    numbered = {"left": {0: 1.0}, "right": {0: 1.0}}
    refused(tmp_path, "evaluate", "must be a list of names", split="test", values=numbered)
    values = {"left": {"loss": 1.0}, "right": {"loss": 1.0}}
    refused(tmp_path, "evaluate", "tokens is '5e9'", split="test", values=values, tokens="5e9")
