"""What a plan says reaches optimizer, losses, batches and evaluations of its run."""

import copy
import gzip
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trajlab import load
from trajlab.errors import TrajlabError
from trajlab.record.probes import FisherTrace, GradientNoise, Probe
from trajlab.training import Plan, train
from trajlab.training.batches import Batches
from trajlab.training.compute import first_batches
from trajlab.training.data import FASHION_MNIST, MNIST, DataSet, read_idx
from trajlab.training.evaluation import evaluate
from trajlab.training.methods import Method
from trajlab.training.metrics import mean
from trajlab.training.setting import MultiTaskModel, Problem, Task
from trajlab.training.settings import setting
from trajlab.training.settings.digits import digits
from trajlab.training.trainer import Trainer

CPU = torch.device("cpu")
PLAN = Plan(digits, "+same", "uniform", 2, 3, 64, 0.05, 0.9)


def test_the_optimizer_has_the_plan_s_numbers_and_trains_what_the_method_learns() -> None:
    plan = replace(PLAN, method="uncertainty", weight_decay=0.01)
    made = Trainer(plan)
    (group,) = made.optimizer.param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.05, 0.9, 0.01)
    wanted = [*made.model.parameters(), *made.method.parameters]
    assert [id(p) for p in group["params"]] == [id(p) for p in wanted]
    assert (
        type(Trainer(replace(PLAN, optimizer="adamw", momentum=0.0)).optimizer).__name__ == "AdamW"
    )


def test_smoothing_is_of_training_losses_and_not_of_evaluations() -> None:
    made = Trainer(replace(PLAN, label_smoothing=0.2))
    rows = torch.arange(20)
    batches = {
        n: (x[rows], y[rows]) for n, t in made.problem.tasks.items() for x, y in [t.splits["train"]]
    }
    with torch.no_grad():
        found = made.losses(made.model, batches)
        outputs = made.model({name: x for name, (x, _) in batches.items()})
    for name, (_, targets) in batches.items():
        logs = outputs[name].log_softmax(1)
        hard = -logs[rows, targets]
        torch.testing.assert_close(found[name], 0.8 * hard - 0.2 * logs.mean(1))
    (x, y) = made.problem.tasks["first"].splits["test"]
    with torch.no_grad():
        logs = made.model({"first": x})["first"].log_softmax(1)
    plain = -logs[torch.arange(len(y)), y].mean()
    assert evaluate(made.problem, "test")["first"]["loss"] == pytest.approx(plain.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("asked", "steps"),
    [(0, set()), (1, {7}), (3, {7, 5, 4}), (20, {7, 5, 4, 2, 1})],  # 10 · 2^(-k/2)
)
def test_early_evaluations_are_at_half_powers_of_a_half(asked: int, steps: set[int]) -> None:
    assert Trainer(replace(PLAN, epoch_steps=10, early_evaluations=asked)).early == steps
    # not at the end of an epoch of one step, where it is evaluated anyway
    assert Trainer(replace(PLAN, epoch_steps=1, early_evaluations=asked)).early == set()


def test_an_epoch_is_a_pass_over_the_largest_task(tmp_path: Path) -> None:
    plan = replace(PLAN, share={"second": 0.3}, epochs=1)
    made = Trainer(plan)
    assert [len(batches) for batches in made.batches] == [5, 2]  # of 300 and 90 examples
    assert made.steps == 5
    train(plan, tmp_path / "run.h5")
    assert len(load(tmp_path / "run.h5")[0].table("losses")["step"]) == 5


class Asking(Method):
    """A plain sum of the tasks that it is to draw, which keeps what it is told."""

    def __init__(self, wanted: list[tuple[str, ...]]) -> None:
        super().__init__((), 0)
        self.wanted = iter(wanted)
        self.told: list[dict[str, float]] = []
        self.ends: list[Mapping[str, float]] = []

    def draw(self) -> tuple[str, ...]:
        return next(self.wanted)

    def backward(self, recorder: Any, losses: Mapping[str, Tensor], model: MultiTaskModel) -> None:
        assert all(parameter.grad is None for parameter in model.parameters())
        self.told.append({name: loss.item() for name, loss in losses.items()})
        sum(losses.values()).backward()  # type: ignore[union-attr]

    def after_update(self, again: Callable[[], Mapping[str, Tensor]]) -> None:
        self.told.append({name: loss.item() for name, loss in again().items()})

    def end_epoch(self, losses: Mapping[str, float]) -> None:
        self.ends.append(losses)


def test_a_method_is_told_the_losses_of_its_tasks_before_and_after_each_update() -> None:
    """Of the same batch; a task that is not drawn keeps its place in its order."""
    schedule = {"name": "exponential", "factor": 1 / 8}  # half the rate at each of three steps
    plan = replace(PLAN, momentum=0.0, epoch_steps=3, schedule=schedule)
    made = Trainer(plan)
    asked: list[tuple[str, ...]] = [("second",), ("first", "second"), ("second",)]
    made.method = method = Asking(asked)
    model = copy.deepcopy(made.model)
    orders = {
        name: iter(torch.randperm(300, generator=torch.Generator().manual_seed(seed)).split(64))
        for name, seed in (("first", 2000), ("second", 2001))
    }
    expected = []
    for update, names in enumerate(asked):
        rows = {name: next(orders[name]) for name in names}

        def losses(rows: Mapping[str, Tensor] = rows) -> dict[str, Tensor]:
            splits = {name: made.problem.tasks[name].splits["train"] for name in rows}
            outputs = model({name: splits[name][0][own] for name, own in rows.items()})
            return {
                name: cross_entropy(outputs[name], splits[name][1][own])
                for name, own in rows.items()
            }

        before = losses()
        for parameter in model.parameters():
            parameter.grad = None
        sum(before.values()).backward()  # type: ignore[union-attr]
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.05 / 2**update * parameter.grad
        expected += [
            {name: loss.item() for name, loss in told.items()} for told in (before, losses())
        ]
    assert made.advance(None)  # type: ignore[arg-type]
    assert [list(told) for told in method.told] == [list(told) for told in expected]
    for told, known in zip(method.told, expected, strict=True):
        assert told == pytest.approx(known, rel=1e-4)
    (end,) = method.ends  # means over all steps of the epoch
    assert end["first"] == pytest.approx(method.told[2]["first"] / 3)
    assert end["second"] == pytest.approx(sum(told["second"] for told in method.told[::2]) / 3)
    assert made.epoch == 1


def test_an_epoch_whose_losses_are_not_finite_does_not_end() -> None:
    made = Trainer(replace(PLAN, epoch_steps=3, learning_rate=1e30))
    made.method = method = Asking([("first", "second")] * 3)
    assert not made.advance(None)  # type: ignore[arg-type]
    assert (made.epoch, method.ends) == (0, [])
    assert len(method.told) < 6


def test_tasks_of_the_same_inputs_are_drawn_together_and_others_each_by_a_stream(
    data: Path,
) -> None:
    together = Trainer(replace(PLAN, setting=setting("yeast"), condition="class1+class2"))
    assert [batches.tasks for batches in together.batches] == [{"class1", "class2"}]
    together.method = method = Asking([("class2",)] * together.steps)
    assert together.advance(None)  # type: ignore[arg-type]
    assert {name for told in method.told for name in told} == {"class2"}
    apart = Trainer(PLAN)
    assert [batches.tasks for batches in apart.batches] == [{"first"}, {"second"}]


def test_what_a_run_has_cost_and_its_epochs_are_kept_in_a_checkpoint() -> None:
    made, other = Trainer(PLAN), Trainer(PLAN)
    made.epoch, made.compute.flops, made.compute.seconds = 2, 3e9, 4.5
    other.load_state_dict(copy.deepcopy(made.state_dict()))
    assert (other.epoch, other.compute.flops, other.compute.seconds) == (2, 3e9, 4.5)


def test_the_seed_of_a_plan_is_that_of_its_method_and_of_all_that_is_drawn_in_training(
    tmp_path: Path,
) -> None:
    drawn = Trainer(replace(PLAN, method="random", seed=5)).method.weights({}, None)  # type: ignore[arg-type]
    wanted = torch.randn(2, generator=torch.Generator().manual_seed(5)).softmax(0)
    assert drawn is not None
    assert list(drawn.values()) == wanted.tolist()
    seen: list[int] = []
    train(
        replace(PLAN, epochs=1, epoch_steps=1, seed=5),
        tmp_path / "run.h5",
        on_epoch=lambda epoch: seen.append(torch.initial_seed()),
    )
    assert seen == [5]


def drawn(batches: Batches, number: int) -> list[list[int]]:
    return [batches.draw()["one"][0].tolist() for _ in range(number)]


def test_every_pass_has_each_example_once_in_an_order_of_its_own() -> None:
    rows = torch.arange(10)
    splits = {"one": (rows, rows + 100), "two": (rows, rows + 200)}
    batches = Batches(splits, 4, 3, CPU)
    assert batches.tasks == {"one", "two"}
    assert len(batches) == 3
    passes = [drawn(batches, 3) for _ in range(3)]
    for each in passes:
        assert [len(batch) for batch in each] == [4, 4, 2]
        assert sorted(sum(each, [])) == rows.tolist()  # noqa: RUF017
    assert passes[0] != passes[1] != passes[2]
    assert drawn(Batches(splits, 4, 3, CPU), 3) == passes[0]
    assert drawn(Batches(splits, 4, 4, CPU), 3) != passes[0]
    batch = batches.draw()
    assert batch["one"][0] is batch["two"][0]
    assert torch.equal(batch["one"][1], batch["one"][0] + 100)
    assert torch.equal(batch["two"][1], batch["one"][0] + 200)
    state = batches.state_dict()
    expected = drawn(batches, 7)
    other = Batches(splits, 4, 9, CPU)
    other.load_state_dict(state)
    assert drawn(other, 7) == expected


def test_a_count_of_operations_is_of_the_first_batch() -> None:
    shared, own = torch.arange(7), torch.arange(3) + 50
    splits = {"a": (shared, shared + 10), "b": (shared, shared + 20), "c": (own, own)}
    batch = first_batches(splits, 5, CPU)
    assert {name: (x.tolist(), y.tolist()) for name, (x, y) in batch.items()} == {
        "a": ([0, 1, 2, 3, 4], [10, 11, 12, 13, 14]),
        "b": ([0, 1, 2, 3, 4], [20, 21, 22, 23, 24]),
        "c": ([50, 51, 52], [50, 51, 52]),
    }
    assert batch["a"][0] is batch["b"][0]


class Doubled(nn.Module):
    """Twice the input, in evaluation mode alone; counts its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))
        self.passes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.passes.append(len(x))
        return self.weight * x


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_an_evaluation_is_of_all_examples_of_a_split(
    monkeypatch: pytest.MonkeyPatch, shared: bool, training: bool
) -> None:
    monkeypatch.setattr("trajlab.training.evaluation.BATCH", 4)
    trunk = Doubled()
    model = MultiTaskModel(trunk, {"one": nn.Identity(), "two": nn.Identity()}).train(training)
    inputs = torch.arange(10.0)

    def task(targets: Tensor, *, flags: bool) -> Task:
        half = (inputs[:3], targets[:3])
        return Task(
            {"train": half, "validation": half, "test": (inputs, targets)},
            lambda outputs, wanted: (outputs - wanted).square(),
            {"error": mean(lambda outputs, wanted: outputs - wanted, higher_is_better=False)},
            (lambda outputs, wanted: outputs > wanted) if flags else None,
        )

    tasks = {"one": task(inputs, flags=True), "two": task(2 * inputs + 1, flags=False)}
    problem = Problem(tasks, model, shared_inputs=shared)
    found = evaluate(problem, "test")
    assert trunk.passes == [4, 4, 2] * (1 if shared else 2)
    assert model.training == training
    assert found["one"]["loss"] == inputs.square().mean()
    assert found["one"]["error"] == inputs.mean()
    assert found["one"]["correct"].tolist() == [False, *[True] * 9]
    assert found["two"] == {"loss": 1.0, "error": -1.0}
    other = evaluate(problem, "validation")
    assert other["one"] == {"loss": pytest.approx(5 / 3), "error": 1.0}


def idx(shape: tuple[int, ...], content: bytes, kind: int = 8) -> bytes:
    sizes = b"".join(n.to_bytes(4, "big") for n in shape)
    return bytes([0, 0, kind, len(shape)]) + sizes + content


def test_an_idx_file_is_read_whole_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (idx((2, 3), bytes(range(6))), gzip.compress(idx((2, 3), bytes(range(6))))):
        path.write_bytes(content)
        assert read_idx(path).tolist() == [[0, 1, 2], [3, 4, 5]]
    path.write_bytes(idx((300,), bytes(300)))  # a size of two bytes
    assert read_idx(path).shape == (300,)
    for broken in (
        idx((2, 3), bytes(5)),
        idx((2, 3), bytes(7)),
        idx((2,), bytes(2), kind=9),
        b"\0\0",
        gzip.compress(idx((2, 3), bytes(range(6))))[:-9],
    ):
        path.write_bytes(broken)
        with pytest.raises(TrajlabError, match="is no whole IDX file of unsigned bytes"):
            read_idx(path)


def test_a_data_set_is_found_where_all_its_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRAJLAB_DATA", raising=False)
    data = DataSet("set", {"a.gz": "", "b": ""}, "install it", system=tmp_path / "system")
    for place in ("system", "home/set", "given"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "a").touch()  # unpacked
    with pytest.raises(TrajlabError, match=r"set is not in .*system: give its folder as root"):
        data.folder()
    (tmp_path / "system" / "b").touch()
    assert data.folder() == tmp_path / "system"
    monkeypatch.setenv("TRAJLAB_DATA", str(tmp_path / "home"))
    assert data.folder() == tmp_path / "system"  # of the first place a file is lacking
    (tmp_path / "home" / "set" / "b").touch()
    assert data.folder() == tmp_path / "home" / "set"
    with pytest.raises(TrajlabError, match=r"set is not in .*given: "):
        data.folder(tmp_path / "given")  # the only place to look
    (tmp_path / "given" / "b").touch()
    (tmp_path / "given" / "a.gz").touch()
    assert data.file("a.gz", tmp_path / "given") == tmp_path / "given" / "a.gz"
    assert data.file("a.gz") == tmp_path / "home" / "set" / "a"


PUBLISHED = {  # MD5 of the files that are downloaded, by who published them
    "mnist": {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
}


@pytest.mark.parametrize("data", [MNIST, FASHION_MNIST], ids=lambda data: data.name)
def test_what_is_downloaded_is_held_against_the_published_checksums(
    data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, str]] = []

    def create(folder: Path, base_url: str, registry: dict[str, str]) -> SimpleNamespace:
        assert folder == tmp_path / data.name
        return SimpleNamespace(fetch=lambda name: asked.append((base_url, name, registry[name])))

    monkeypatch.setitem(sys.modules, "pooch", SimpleNamespace(create=create))
    assert data._download(tmp_path / data.name) == ""
    assert data.url.startswith("https://")
    assert asked == [(data.url, name, f"md5:{own}") for name, own in PUBLISHED[data.name].items()]


@pytest.mark.parametrize("trouble", ["", " and could not be downloaded (OSError)"])
def test_data_are_downloaded_only_where_no_folder_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    asked: list[Path | None] = []

    def download(self: DataSet, folder: Path | None) -> str:
        asked.append(folder)
        return trouble

    monkeypatch.setattr(DataSet, "_download", download)
    monkeypatch.setenv("TRAJLAB_DATA", str(tmp_path / "home"))
    data = DataSet("set", {"a": ""}, "install it", url="https://there/")
    with pytest.raises(TrajlabError, match=r"set is not in .*given: give") as error:
        data.folder(tmp_path / "given")
    assert asked == []
    assert "or download it from https://there/ (by itself" in str(error.value)
    if trouble:
        with pytest.raises(
            TrajlabError, match=r"home/set and could not be downloaded \(OSError\): "
        ):
            data.folder()
    else:
        assert data.folder() == tmp_path / "home" / "set"
    assert asked == [tmp_path / "home" / "set"]
    monkeypatch.delenv("TRAJLAB_DATA")
    with pytest.raises(TrajlabError, match="set is not in TRAJLAB_DATA, which is not set"):
        data.folder()


def test_a_run_has_the_probes_metadata_and_directions_that_it_was_given(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRAJLAB_DATA")
    exam = setting("exam")
    plan = Plan(exam, "school1+school2", "uniform", 0, 2, 6, 0.05, 0.0, options={"C": "K"})
    ended: list[int] = []

    def probes(problem: Problem) -> list[Probe]:
        sample = {name: [{name: task.splits["train"]}] for name, task in problem.tasks.items()}
        return [GradientNoise("epoch", sample), FisherTrace("epoch", sample)]

    path = train(
        plan,
        tmp_path / "run.h5",
        probes=probes,
        on_epoch=ended.append,
        root=data / "exam",  # which is found nowhere else
        metadata={"own": 7, "seed": 5},
    )
    (run,) = load(path)
    assert ended == [1, 2]
    assert run.tasks == ["school1", "school2"]
    told = {"own": 7, "seed": 5, "setting": "exam", "C": "K", "batch_size": 6}
    assert told.items() <= run.metadata.items()
    assert all(name.startswith("trunk.") for name in run.shared)
    assert run.table("losses")["learning_rate"].tolist() == [0.05] * 4
    assert run.table("losses")["weight"].tolist() == [[0.5, 0.5]] * 4
    for name in ("noise", "fisher"):
        table = run.table(name)
        assert table["step"].tolist() == [0, 2, 4]
        assert set(table["reason"].ravel()) == {""}
    assert run.table("fisher").attributes["likelihood"] == ["Gaussian"] * 2
    for split in ("train", "validation", "test"):
        table = run.table(f"evaluations/{split}")
        assert table["epoch"].tolist() == [0, 1, 2]
        assert table.column_attributes("mae")["higher_is_better"] is False
