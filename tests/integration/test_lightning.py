"""Lightning itself, training a small model with and without the recorder."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.integration.failing import Broken, Unreachable
from tests.models import TwoHeads
from tests.record.loops import TASKS, batches, joined, losses, same, true_gram
from trajlab import TrajlabError, probes
from trajlab.record.integrations.lightning import RecorderCallback, total_loss
from trajlab.store import Trajectory

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*"),
]
DATA = batches(6)
TEST = batches(3, size=5, seed=9)


class Module(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = TwoHeads()
        self.true: list[Tensor] = []

    def training_step(self, batch: Any, index: int) -> Tensor:
        self.true.append(true_gram(self.model, batch))
        return total_loss(self, losses(self.model, batch))

    def validation_step(self, batch: Any, index: int) -> Tensor:
        x, y = batch
        left, _ = self.model(x)
        self.log("val_left_accuracy", (left.argmax(1) == y[:, 0]).float().mean())
        return total_loss(self, losses(self.model, batch))

    test_step = validation_step

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.3, momentum=0.9)


class Manual(Module):
    """Two optimizers, stepped by hand every second batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, index: int) -> None:
        self.manual_backward(total_loss(self, losses(self.model, batch), accumulate=2) / 2)
        if index % 2:
            for optimizer in self.optimizers():
                optimizer.step()
                optimizer.zero_grad()

    def configure_optimizers(self) -> Any:
        heads = [*self.model.left.parameters(), *self.model.right.parameters()]
        return torch.optim.SGD(self.model.trunk.parameters(), 0.3), torch.optim.Adam(heads)


def loader(parts: Any) -> DataLoader:
    return DataLoader(TensorDataset(*joined(parts)), batch_size=len(parts[0][0]))


def fit(module: Module, *callbacks: pl.Callback, ckpt: Any = None, **arguments: Any) -> pl.Trainer:
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    settings = {"max_epochs": 1, "accelerator": "cpu"} | quiet | arguments
    trainer = pl.Trainer(**settings, callbacks=list(callbacks))
    trainer.fit(module, loader(DATA), loader(TEST), ckpt_path=ckpt, weights_only=False)
    return trainer


def callback(path: Path, module: Module, **arguments: Any) -> RecorderCallback:
    settings = {"shared": module.model.trunk, "probes": [probes.TaskGradients()]} | arguments
    return RecorderCallback(path, TASKS, **settings)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_automatic_optimization(tmp_path: Path) -> None:
    recorded, plain = Module(), Module()
    arguments = {"max_epochs": 2, "gradient_clip_val": 0.1}
    own = callback(tmp_path / "run.h5", recorded, probes=[probes.TaskGradients(update=True)])
    fit(recorded, own, **arguments)
    fit(plain, **arguments)
    assert same(recorded, plain)
    run = Trajectory(tmp_path / "run.h5")
    assert run.status == "complete"
    assert np.allclose(run.gram(), torch.stack(recorded.true), rtol=1e-4)
    table = run.table("losses")
    assert table["step"].tolist() == list(range(12))
    assert table["epoch"].tolist() == [0] * 6 + [1] * 6
    assert set(table["learning_rate"]) == {0.3}
    norms = run.table("gradients")["update_norm"]
    assert (norms < 0.1).all()  # of the trunk, clipped with the heads
    assert (norms < 0.6 * np.sqrt(run.gram().sum((1, 2)))).all()


def test_evaluations_in_the_trainers_steps(tmp_path: Path) -> None:
    module = Module()
    trainer = fit(module, callback(tmp_path / "run.h5", module), max_epochs=2)
    trainer.test(module, loader(TEST), verbose=False)
    run = Trajectory(tmp_path / "run.h5")
    validation, test = run.table("evaluations/validation"), run.table("evaluations/test")
    assert validation["step"].tolist() == [6, 12]
    assert validation["epoch"].tolist() == [1, 2]
    assert test["step"].tolist() == [12]
    with torch.no_grad():
        expected = [float(loss) for loss in losses(module.model, joined(TEST)).values()]
        left, _ = module.model(joined(TEST)[0])
    right = (left.argmax(1) == joined(TEST)[1][:, 0]).float().mean()
    for table in (validation, test):
        assert table["loss"][-1] == pytest.approx(expected, rel=1e-5)
        assert table["accuracy"][-1, 0] == pytest.approx(float(right), rel=1e-5)


def test_accumulation_is_one_update(tmp_path: Path) -> None:
    recorded, plain = Module(), Module()
    fit(recorded, callback(tmp_path / "run.h5", recorded), accumulate_grad_batches=3)
    fit(plain, accumulate_grad_batches=3)
    assert same(recorded, plain)
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("gradients")["step"].tolist() == [0, 1]
    assert run.table("losses")["micro_step"].tolist() == [0, 1, 2, 0, 1, 2]
    assert np.allclose(run.gram()[0], true_gram(TwoHeads(), joined(DATA[:3])), rtol=1e-4)


def test_manual_optimization_with_two_optimizers(tmp_path: Path) -> None:
    recorded, plain = Manual(), Manual()
    fit(recorded, callback(tmp_path / "run.h5", recorded))
    fit(plain)
    assert same(recorded, plain)
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("gradients")["step"].tolist() == [0, 2, 4]  # both optimizers count
    assert np.allclose(run.gram()[0], true_gram(TwoHeads(), joined(DATA[:2])), rtol=1e-4)


def test_resume_from_lightnings_checkpoint(tmp_path: Path) -> None:
    whole, first, second = Module(), Module(), Module()
    fit(whole, callback(tmp_path / "whole.h5", whole), max_epochs=3)
    trainer = fit(first, callback(tmp_path / "run.h5", first), max_epochs=2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    fit(second, callback(tmp_path / "run.h5", second), max_epochs=3, ckpt=tmp_path / "last.ckpt")
    assert same(second, whole)
    one, other = Trajectory(tmp_path / "whole.h5"), Trajectory(tmp_path / "run.h5")
    assert np.array_equal(one.gram(), other.gram())
    for name in ("losses", "evaluations/validation"):
        for column in ("step", "loss", "epoch"):
            assert np.array_equal(one.table(name)[column], other.table(name)[column])


def test_two_callbacks_record_one_training(tmp_path: Path) -> None:
    module = Module()
    other = callback(tmp_path / "b.h5", module, probes=[probes.TaskGradients(every=3)])
    trainer = fit(module, callback(tmp_path / "a.h5", module), other)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    a, b = Trajectory(tmp_path / "a.h5"), Trajectory(tmp_path / "b.h5")
    assert np.allclose(a.gram()[::3], b.gram(), rtol=1e-6)
    keys = torch.load(tmp_path / "last.ckpt", weights_only=False)["callbacks"]
    assert len([key for key in keys if "RecorderCallback" in key]) == 2


def test_misconfiguration_is_raised_before_training(tmp_path: Path) -> None:
    with pytest.raises(TrajlabError, match="optimizer= comes from the trainer"):
        callback(tmp_path / "run.h5", Module(), optimizer=None)
    first, again = Module(), Module()
    fit(first, callback(tmp_path / "run.h5", first))
    with pytest.raises(TrajlabError, match="exists"):
        fit(again, callback(tmp_path / "run.h5", again))
    assert again.true == []


def test_training_step_without_total_loss_is_one_sentence(tmp_path: Path) -> None:
    class Forgets(Module):
        def training_step(self, batch: Any, index: int) -> Tensor:
            return sum(losses(self.model, batch).values())

    module = Forgets()
    with pytest.raises(TrajlabError, match="training_step did not call trajlab's total_loss"):
        fit(module, callback(tmp_path / "run.h5", module))


def test_exception_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    class Fails(Module):
        def training_step(self, batch: Any, index: int) -> Tensor:
            if index == 4:
                raise KeyError("user's own")
            return super().training_step(batch, index)

    module = Fails()
    with pytest.raises(KeyError, match="user's own"):
        fit(module, callback(tmp_path / "run.h5", module))
    run = Trajectory(tmp_path / "run.h5")
    assert run.status == "recording"
    assert run.table("losses")["step"].tolist() == [0, 1, 2, 3]


def test_bf16(tmp_path: Path) -> None:
    recorded, plain = Module(), Module()
    fit(recorded, callback(tmp_path / "run.h5", recorded), precision="bf16-mixed")
    fit(plain, precision="bf16-mixed")
    assert same(recorded, plain)
    found, true = Trajectory(tmp_path / "run.h5").gram()[0], true_gram(TwoHeads(), DATA[0])
    assert np.allclose(found, true, rtol=0.05, atol=0.02 * float(true.max()))


def test_nothing_beside_training_ends_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain, recorded = Module(), Module()
    fit(plain, max_epochs=2)
    beside = {"probes": [Broken(every=1)], "sinks": [Unreachable()], "splits": ["mnli"]}
    fit(recorded, callback(tmp_path / "run.h5", recorded, **beside), max_epochs=2)
    assert same(plain, recorded)
    for failed in ("out of memory", "host is down", "'mnli' is no split"):
        assert caplog.text.count(failed) == 1
    run = Trajectory(tmp_path / "run.h5")
    assert run.status == "complete"
    assert run.table("losses")["step"].tolist() == list(range(12))


def test_what_fails_ends_strict_training(tmp_path: Path) -> None:
    module = Module()
    strict = {"probes": [Broken(every=1)], "strict": True}
    with pytest.raises(RuntimeError, match="out of memory"):
        fit(module, callback(tmp_path / "run.h5", module, **strict))


def test_a_fit_that_goes_on_does_so_in_its_file(tmp_path: Path) -> None:
    module = Module()
    trainer = fit(module, callback(tmp_path / "run.h5", module))
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, loader(DATA), loader(TEST))
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("losses")["step"].tolist() == list(range(12))
    assert not (tmp_path / "run-2.h5").exists()


class Counter(nn.Module):
    """As torchmetrics count: a state that is no buffer, changed in place."""

    def __init__(self) -> None:
        super().__init__()
        self._defaults = {"seen": torch.tensor(0)}
        self.seen = torch.tensor(0)

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self.seen


class Whole(Module):
    """Dropout, a normalisation, a counter and a log in its training step."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = Counter()
        self.norm = torch.nn.BatchNorm1d(6)
        self.noise = torch.nn.Dropout(0.5)
        self.counted: list[int] = []

    def training_step(self, batch: Any, index: int) -> Tensor:
        x, y = batch
        self.log("train_seen", self.counter(x).float())
        self.counted.append(int(self.counter.seen))
        return total_loss(self, losses(self.model, (self.noise(self.norm(x)), y)))


def test_a_sample_of_the_training_set_is_evaluated_and_leaves_nothing(tmp_path: Path) -> None:
    recorded, plain = Whole(), Whole()
    both = [
        callback(tmp_path / "sampled.h5", recorded, train_sample=19, splits=["test"]),
        callback(tmp_path / "other.h5", recorded, splits=["test"]),
    ]
    torch.manual_seed(3)
    fit(recorded, *both, max_epochs=2)
    torch.manual_seed(3)
    fit(plain, max_epochs=2)
    assert same(recorded, plain)
    assert recorded.counted[:6] == plain.counted[:6]
    assert [c for c in recorded.counted if c in plain.counted][-1] == plain.counted[-1]
    sampled, other = (Trajectory(tmp_path / name) for name in ("sampled.h5", "other.h5"))
    table = sampled.table("evaluations/train")
    assert table["step"].tolist() == [6, 12]
    assert "evaluations/train" not in other.tables
    assert np.allclose(
        sampled.table("evaluations/test")["loss"],
        other.table("evaluations/test")["loss"],
        rtol=1e-6,
    )
    x, y = joined(DATA)
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:19]
    said = table.attributes
    digest = sha256(repr(chosen.tolist()).encode()).hexdigest()
    wanted = {"sample_size": 19, "sample_of": len(x), "sample_seed": 0, "sample_sha256": digest}
    assert {name: said.get(name) for name in wanted} == wanted
    recorded.eval()
    with torch.no_grad():
        true = losses(recorded.model, (recorded.norm(x[chosen]), y[chosen]))
    assert np.allclose(table["loss"][-1], [float(true[task]) for task in TASKS], rtol=1e-5)
    size = loader(DATA).batch_size or 1
    sizes = [len(part) for part in chosen.split(size)]
    with torch.no_grad():
        parts = [losses(recorded.model, (recorded.norm(x[i]), y[i])) for i in chosen.split(size)]
    for task, error in zip(TASKS, table["loss_se"][-1], strict=True):
        apart = np.array([float(part[task]) for part in parts]) - float(true[task])
        of_mean = (np.array(sizes) * apart**2).sum() / (len(sizes) - 1) / 19
        assert error == pytest.approx(np.sqrt((1 - 19 / len(x)) * of_mean), rel=1e-4)


def test_a_sample_of_all_examples_has_no_error(tmp_path: Path) -> None:
    recorded = Whole()
    fit(
        recorded,
        callback(tmp_path / "run.h5", recorded, probes=[], train_sample=len(joined(DATA)[0])),
    )
    assert (Trajectory(tmp_path / "run.h5").table("evaluations/train")["loss_se"] == 0).all()


def test_a_sample_under_manual_optimization_does_not_train(tmp_path: Path) -> None:
    class Steps(Manual):
        def validation_step(self, batch: Any, index: int) -> Tensor:
            return total_loss(self, losses(self.model, batch))

    recorded, plain = Steps(), Steps()
    fit(recorded, callback(tmp_path / "run.h5", recorded, probes=[], train_sample=5))
    fit(plain)
    assert same(recorded, plain)
    assert Trajectory(tmp_path / "run.h5").table("evaluations/train")["step"].tolist() == [6]


def test_a_sample_needs_data_with_a_length(tmp_path: Path) -> None:
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self) -> Any:
            return iter(TensorDataset(*joined(DATA)))

    module = Module()
    trainer = pl.Trainer(
        callbacks=[callback(tmp_path / "run.h5", module, train_sample=5)],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        max_epochs=1,
    )
    with pytest.raises(TrajlabError, match="train_sample needs one DataLoader of a training set"):
        trainer.fit(module, DataLoader(Stream(), batch_size=5), loader(TEST))
    with pytest.raises(TrajlabError, match="train_sample=0 is no number of examples"):
        callback(tmp_path / "run.h5", module, train_sample=0)
