"""What recording adds to a training step in each framework, next to the framework's own logger.

    make bench-integrations

Trains an MLP of 784-512-512 with three tasks on batches of 64 (own data, drawn once) four ways, in
turn and several times: bare, with the framework's own logger writing the task losses at every step,
with trajlab recording losses, and with trajlab recording losses and the Gram matrix of the task
gradients every tenth step. Prints medians over the repetitions: process time a step, and its ratio
to the bare training of the same repetition.
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trajlab import Recorder, probes

TASKS = ["a", "b", "c"]
WAYS = ("bare", "own logger", "losses", "losses and Gram every 10")


class Model(nn.Module):
    """A trunk of two wide layers with three heads."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU())
        self.heads = nn.ModuleDict({task: nn.Linear(512, 10) for task in TASKS})

    def losses(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the loss of each task."""
        z = self.trunk(x)
        ce = nn.functional.cross_entropy
        return {t: ce(self.heads[t](z), y[:, i]) for i, t in enumerate(TASKS)}


def examples(n: int) -> list[dict[str, Tensor]]:
    """Return one dictionary an example."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(64, 784, generator=generator)
    y = torch.randint(0, 10, (64, 3), generator=generator)
    return [{"x": x[i % 64], "y": y[i % 64]} for i in range(n)]


def settings(model: Model, way: str) -> dict[str, Any]:
    """Return what the recorder is told."""
    gram = [probes.TaskGradients(every=10)] if way.endswith("10") else []
    return {"tasks": TASKS, "shared": model.trunk, "probes": gram}


def plain(way: str, folder: Path, steps: int) -> float:
    """Train with a loop of our own; its own logger is TensorBoard's SummaryWriter."""
    from torch.utils.tensorboard import SummaryWriter

    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    rows = examples(64)
    x, y = (torch.stack([row[key] for row in rows]) for key in ("x", "y"))
    writer = SummaryWriter(str(folder)) if way == "own logger" else None
    recorder = None
    if "losses" in way:
        recorder = Recorder(folder / "run.h5", model, optimizer=optimizer, **settings(model, way))
    begin = time.process_time()
    for step in range(steps):
        losses = model.losses(x, y)
        if recorder:
            recorder.backward(losses)
        else:
            sum(losses.values()).backward()
        if writer:
            for task, loss in losses.items():
                writer.add_scalar(task, loss.detach(), step)
        optimizer.step()
        optimizer.zero_grad()
    for opened in (recorder, writer):
        if opened:
            opened.close()
    return time.process_time() - begin


def lightning(way: str, folder: Path, steps: int) -> float:
    """Train with Lightning; its own logger is CSVLogger."""
    import lightning.pytorch as pl
    from lightning.pytorch.loggers import CSVLogger
    from torch.utils.data import DataLoader

    from trajlab.record.integrations.lightning import RecorderCallback, total_loss

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = Model()

        def training_step(self, batch: Any, index: int) -> Tensor:
            losses = self.model.losses(batch["x"], batch["y"])
            if way == "own logger":
                self.log_dict(losses, batch_size=64)
            return total_loss(self, losses)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.01)

    module = Module()
    model = module.model
    callback = [RecorderCallback(folder / "run.h5", **settings(model, way))]
    trainer = pl.Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        callbacks=callback if "losses" in way else [],
        logger=CSVLogger(str(folder)) if way == "own logger" else False,
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(examples(64 * steps), batch_size=64)
    begin = time.process_time()
    trainer.fit(module, loader)
    return time.process_time() - begin


def transformers(way: str, folder: Path, steps: int) -> float:
    """Train with the Hugging Face Trainer; its own logger is its TensorBoard callback."""
    from transformers import Trainer, TrainingArguments

    from trajlab.record.integrations.transformers import RecorderCallback, total_loss

    class MultiTaskTrainer(Trainer):
        def compute_loss(self, model: Any, inputs: Any, *_: Any, **__: Any) -> Any:
            return total_loss(self, inputs, model.losses(inputs["x"], inputs["y"]))

    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder)
    model = Model()
    own = way == "own logger"
    arguments = TrainingArguments(
        str(folder),
        max_steps=steps,
        per_device_train_batch_size=64,
        optim="sgd",
        learning_rate=0.01,
        logging_strategy="steps" if own else "no",
        logging_steps=1,
        report_to=["tensorboard"] if own else [],
        save_strategy="no",
        remove_unused_columns=False,
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    callback = [RecorderCallback(folder / "run.h5", **settings(model, way))]
    trainer = MultiTaskTrainer(
        model,
        arguments,
        train_dataset=examples(64 * steps),
        callbacks=callback if "losses" in way else [],
    )
    begin = time.process_time()
    trainer.train()
    return time.process_time() - begin


def main() -> None:
    """Print a row a framework and way."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    frameworks: tuple[Callable[[str, Path, int], float], ...] = (plain, lightning, transformers)
    print("| framework | way | ms a step | ratio to bare |\n|---|---|---|---|")
    for train in frameworks:
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(options.repetitions):
            for way in WAYS:
                # the Trainer prints its logs
                with tempfile.TemporaryDirectory() as folder, redirect_stdout(None):
                    spent = train(way, Path(folder), options.steps)
                times[way].append(1e3 * spent / options.steps)
        for way, found in times.items():
            ratio = statistics.median(t / b for t, b in zip(found, times["bare"], strict=True))
            median = statistics.median(found)
            print(f"| {train.__name__} | {way} | {median:.2f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
