"""The Hugging Face Trainer itself, training a small transformer with and without the recorder."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, Trainer, TrainingArguments

from tests.integration.failing import Broken, Unreachable
from tests.models import TINY
from trajlab import TrajlabError, probes
from trajlab.record.integrations.transformers import RecorderCallback, total_loss
from trajlab.store import Trajectory

TASKS = ["topic", "tone"]


class TwoHeads(nn.Module):
    """A small BERT with two classifiers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=50, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **TINY
        )
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.topic = nn.Linear(16, 3)
        self.tone = nn.Linear(16, 2)

    def forward(self, input_ids: Tensor) -> dict[str, Tensor]:
        z = self.encoder(input_ids).last_hidden_state[:, 0]
        return {"topic": self.topic(z), "tone": self.tone(z)}


def task_losses(outputs: dict[str, Tensor], inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {t: nn.functional.cross_entropy(outputs[t], inputs[t]) for t in TASKS}


def sentences(size: int, seed: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    ranges = {"input_ids": (50, (6,)), "topic": (3, ()), "tone": (2, ())}
    return [
        {n: torch.randint(0, top, shape, generator=generator) for n, (top, shape) in ranges.items()}
        for _ in range(size)
    ]


class MultiTaskTrainer(Trainer):
    """Notes the weights and the batch of every training pass."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, **_: Any
    ) -> Any:
        if model.training:
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            self.seen.append((weights, dict(inputs)))
        outputs = model(inputs["input_ids"])
        loss = total_loss(self, inputs, task_losses(outputs, inputs))
        return (loss, outputs) if return_outputs else loss


class Forgets(MultiTaskTrainer):
    def compute_loss(self, model: nn.Module, inputs: Any, *_: Any, **__: Any) -> Any:
        return sum(task_losses(model(inputs["input_ids"]), inputs).values())


def accuracy(prediction: Any) -> dict[str, float]:
    pairs = zip(TASKS, prediction.predictions, prediction.label_ids, strict=True)
    return {f"{t}_accuracy": float((out.argmax(1) == y).mean()) for t, out, y in pairs}


def train(
    folder: Path,
    model: nn.Module,
    *callbacks: Any,
    resume: Any = None,
    eval_dataset: Any = None,
    kind: type[MultiTaskTrainer] = MultiTaskTrainer,
    **arguments: Any,
) -> MultiTaskTrainer:
    settings: dict[str, Any] = {
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 4,
        "num_train_epochs": 1,
        "learning_rate": 1e-2,
        "remove_unused_columns": False,
        "label_names": TASKS,
        "report_to": [],
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_strategy": "no",
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "seed": 1,
    }
    trainer = kind(
        model,
        TrainingArguments(str(folder / "out"), **(settings | arguments)),
        train_dataset=sentences(24, 2),
        eval_dataset=eval_dataset,
        compute_metrics=accuracy if eval_dataset else None,
        callbacks=list(callbacks),
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def callback(path: Path, model: TwoHeads, **arguments: Any) -> RecorderCallback:
    settings = {"shared": model.encoder, "probes": [probes.TaskGradients()]} | arguments
    return RecorderCallback(path, TASKS, **settings)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def true_gram(seen: list[tuple[dict[str, Tensor], dict[str, Tensor]]]) -> Tensor:
    """Of the passes of one update, in float64."""
    model = TwoHeads().double()
    model.load_state_dict(seen[0][0])
    wanted = list(model.encoder.parameters())
    total = torch.zeros(len(TASKS), sum(p.numel() for p in wanted), dtype=torch.float64)
    for _, inputs in seen:
        values = task_losses(model(inputs["input_ids"]), inputs)
        for row, loss in zip(total, values.values(), strict=True):
            found = torch.autograd.grad(loss, wanted, retain_graph=True, materialize_grads=True)
            row += torch.cat([gradient.reshape(-1) for gradient in found]) / len(seen)
    return total @ total.mT


def test_weights_and_grams(tmp_path: Path) -> None:
    recorded, plain = TwoHeads(), TwoHeads()
    own = callback(tmp_path / "run.h5", recorded)
    trainer = train(tmp_path / "a", recorded, own, num_train_epochs=2)
    train(tmp_path / "b", plain, num_train_epochs=2)
    assert same(recorded, plain)
    run = Trajectory(tmp_path / "run.h5")
    assert run.status == "complete"
    table = run.table("losses")
    assert table["step"].tolist() == list(range(12))
    assert table["epoch"].tolist() == [0] * 6 + [1] * 6
    assert table["learning_rate"][0] == pytest.approx(1e-2)
    true = torch.stack([true_gram([seen]) for seen in trainer.seen])
    assert np.allclose(run.gram(), true, rtol=1e-3)


def test_accumulation_is_one_update(tmp_path: Path) -> None:
    recorded, plain = TwoHeads(), TwoHeads()
    own = callback(tmp_path / "run.h5", recorded, probes=[probes.TaskGradients(update=True)])
    trainer = train(tmp_path / "a", recorded, own, gradient_accumulation_steps=4)
    train(tmp_path / "b", plain, gradient_accumulation_steps=4)
    assert same(recorded, plain)
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("losses")["micro_step"].tolist() == [0, 1, 2, 3, 0, 1]
    gradients = run.table("gradients")
    assert gradients["step"].tolist() == [0, 1]  # the second of two batches only
    true = torch.stack([true_gram(trainer.seen[:4]), true_gram(trainer.seen[4:])])
    assert np.allclose(run.gram(), true, rtol=1e-3)
    lengths = gradients["update_norm"] * np.sqrt(run.gram().sum((1, 2)))
    assert gradients["update_dot"].sum(1) == pytest.approx(lengths, rel=1e-4)  # one direction
    assert (gradients["update_norm"] < 1.0001).all()  # the Trainer clips at 1


def test_evaluations(tmp_path: Path) -> None:
    model = TwoHeads()
    own = callback(tmp_path / "run.h5", model)
    data = {"train": sentences(24, 2), "test": sentences(10, 5)}
    trainer = train(
        tmp_path, model, own, eval_dataset=data, eval_strategy="epoch", num_train_epochs=2
    )
    trainer.evaluate(data["test"], metric_key_prefix="validation")
    run = Trajectory(tmp_path / "run.h5")
    assert run.table("evaluations/validation")["step"].tolist() == [12]
    for split, rows in data.items():
        table = run.table(f"evaluations/{split}")
        assert table["step"].tolist() == [6, 12]
        assert table["epoch"].tolist() == [1, 2]
        whole = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        with torch.no_grad():
            outputs = model(whole["input_ids"])
            expected = [float(loss) for loss in task_losses(outputs, whole).values()]
        right = (outputs["tone"].argmax(1) == whole["tone"]).float().mean()
        assert table["loss"][-1] == pytest.approx(expected, rel=1e-5)
        assert table["accuracy"][-1, 1] == pytest.approx(float(right))


def test_resume_from_the_trainers_checkpoint(tmp_path: Path) -> None:
    whole, first, second = TwoHeads(), TwoHeads(), TwoHeads()
    settings = {"num_train_epochs": 2, "save_strategy": "steps", "save_steps": 8}
    train(tmp_path / "a", whole, callback(tmp_path / "whole.h5", whole), **settings)
    train(tmp_path / "b", first, callback(tmp_path / "run.h5", first), **settings)
    own = callback(tmp_path / "run.h5", second)
    train(tmp_path / "b", second, own, resume=str(tmp_path / "b/out/checkpoint-8"), **settings)
    assert same(second, whole)
    one, other = Trajectory(tmp_path / "whole.h5"), Trajectory(tmp_path / "run.h5")
    assert np.array_equal(one.gram(), other.gram())
    assert np.array_equal(one.table("losses")["loss"], other.table("losses")["loss"])


def test_two_callbacks_record_one_training(tmp_path: Path) -> None:
    model = TwoHeads()
    other = callback(tmp_path / "b.h5", model, probes=[probes.TaskGradients(every=3)])
    train(tmp_path, model, callback(tmp_path / "a.h5", model), other)
    a, b = Trajectory(tmp_path / "a.h5"), Trajectory(tmp_path / "b.h5")
    assert np.allclose(a.gram()[::3], b.gram(), rtol=1e-6)


def test_a_sample_is_evaluated_for_the_callback_that_asked_for_it_alone(tmp_path: Path) -> None:
    evaluated = {"eval_dataset": sentences(5, 8), "eval_strategy": "epoch", "num_train_epochs": 2}
    model = TwoHeads()
    other = callback(tmp_path / "b.h5", model)
    train(tmp_path, model, callback(tmp_path / "a.h5", model, train_sample=6), other, **evaluated)
    a, b = Trajectory(tmp_path / "a.h5"), Trajectory(tmp_path / "b.h5")
    found, expected = (run.table("evaluations/validation") for run in (a, b))
    assert found["step"].tolist() == expected["step"].tolist() == [6, 12]
    assert np.array_equal(found["loss"], expected["loss"])
    assert "evaluations/train" in a.tables
    assert "evaluations/train" not in b.tables
    one = TwoHeads()
    train(tmp_path / "one", one, callback(tmp_path / "one.h5", one), **evaluated)
    alone = Trajectory(tmp_path / "one.h5").table("evaluations/validation")
    assert np.array_equal(expected["loss"], alone["loss"])


def test_misconfiguration_is_raised_before_training(tmp_path: Path) -> None:
    model = TwoHeads()
    with pytest.raises(TrajlabError, match="scaler= comes from the trainer"):
        callback(tmp_path / "run.h5", model, scaler=None)
    (tmp_path / "run.h5").write_text("in the way")
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(TrajlabError, match="exists"):
        train(tmp_path, model, callback(tmp_path / "run.h5", model))
    assert all(map(torch.equal, before, model.parameters()))


def test_compute_loss_without_total_loss_is_one_sentence(tmp_path: Path) -> None:
    model = TwoHeads()
    with pytest.raises(TrajlabError, match="compute_loss did not call trajlab's total_loss"):
        train(tmp_path, model, callback(tmp_path / "run.h5", model), kind=Forgets)


def test_nothing_beside_training_ends_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain, recorded = TwoHeads(), TwoHeads()
    sets = {"mnli": sentences(8, 3), "test": sentences(8, 4)}
    train(tmp_path, plain, eval_dataset=sets, eval_strategy="epoch", num_train_epochs=2)
    beside = {"probes": [Broken(every=1)], "sinks": [Unreachable()]}
    trainer = train(
        tmp_path,
        recorded,
        callback(tmp_path / "run.h5", recorded, **beside),
        eval_dataset=sets,
        eval_strategy="epoch",
        num_train_epochs=2,
    )
    assert same(plain, recorded)
    for failed in ("out of memory", "host is down", "'mnli' is no split"):
        assert caplog.text.count(failed) == 1
    run = Trajectory(tmp_path / "run.h5")
    assert run.status == "complete"
    assert len(run.table("losses")["step"]) == trainer.state.global_step == 12
    assert run.table("evaluations/test")["step"].tolist() == [6, 12]


def test_a_batch_size_that_is_too_large_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Exhausts(MultiTaskTrainer):
        def compute_loss(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            if len(inputs["input_ids"]) > 4 and self.state.global_step == 1:
                raise RuntimeError("CUDA out of memory.")
            return super().compute_loss(model, inputs, *args, **kwargs)

    model = TwoHeads()
    trainer = train(
        tmp_path,
        model,
        callback(tmp_path / "run.h5", model),
        kind=Exhausts,
        auto_find_batch_size=True,
        per_device_train_batch_size=8,
    )
    assert "supersedes what" in caplog.text
    run = Trajectory(tmp_path / "run.h5")
    assert run.status == "complete"
    steps = run.table("losses")["step"].tolist()
    assert steps == list(range(trainer.state.global_step))
    assert run.gram().shape[0] == len(steps)


def test_a_second_training_is_kept_beside_the_first(tmp_path: Path) -> None:
    model = TwoHeads()
    trainer = train(tmp_path, model, callback(tmp_path / "run.h5", model))
    first = Trajectory(tmp_path / "run.h5").frame("losses")
    trainer.train()
    assert Trajectory(tmp_path / "run.h5").frame("losses").equals(first)
    assert Trajectory(tmp_path / "run-2.h5").status == "complete"


def test_an_attempt_that_failed_is_superseded(tmp_path: Path) -> None:
    """A notebook's cell that is run again makes a model, a trainer and a callback of its own."""

    class Fails(MultiTaskTrainer):
        def compute_loss(self, model: nn.Module, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            if self.state.global_step == 3:
                raise KeyError("the user's own")
            return super().compute_loss(model, inputs, *args, **kwargs)

    first, second, other = TwoHeads(), TwoHeads(), TwoHeads()
    with pytest.raises(KeyError):
        train(tmp_path, first, callback(tmp_path / "run.h5", first), kind=Fails)
    train(tmp_path, second, callback(tmp_path / "run.h5", second))
    train(tmp_path, other, callback(tmp_path / "other.h5", other))
    assert np.array_equal(
        Trajectory(tmp_path / "run.h5").gram(), Trajectory(tmp_path / "other.h5").gram()
    )


def test_the_callback_pickles(tmp_path: Path) -> None:
    model = TwoHeads()
    recorder = callback(tmp_path / "run.h5", model)
    train(tmp_path, model, recorder)
    again = pickle.loads(pickle.dumps(recorder))
    assert again.session.path == recorder.session.path


def test_a_sample_of_the_training_set_is_evaluated(tmp_path: Path) -> None:
    recorded, plain = TwoHeads(), TwoHeads()
    own = RecorderCallback(tmp_path / "run.h5", TASKS, train_sample=6, shared=recorded.encoder)
    evaluations = {
        "eval_dataset": {
            name: sentences(5, seed) for name, seed in (("validation", 8), ("test", 9))
        },
        "eval_strategy": "epoch",
        "num_train_epochs": 2,
    }
    trainer = train(tmp_path / "a", recorded, own, **evaluations)
    train(tmp_path / "b", plain, **evaluations)
    for name, value in recorded.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name])
    run = Trajectory(tmp_path / "run.h5")
    table = run.table("evaluations/train")
    assert table["step"].tolist() == run.table("evaluations/test")["step"].tolist()
    data = trainer.train_dataset
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:6].tolist()
    assert table.attributes["sample_of"] == len(data)
    assert table.attributes["sample_size"] == 6
    inputs = {name: torch.stack([data[i][name] for i in chosen]) for name in data[0]}
    recorded.eval()
    with torch.no_grad():
        true = task_losses(recorded(inputs["input_ids"]), inputs)
    assert np.allclose(table["loss"][-1], [float(true[task]) for task in TASKS], rtol=1e-5)
    pickle.dumps(own)
