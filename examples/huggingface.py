"""The Hugging Face Trainer: one callback, and total_loss in compute_loss."""

import sys
import tempfile

import torch
from transformers import Trainer, TrainingArguments

from toy import TASKS, Model, batches
from trajlab import probes
from trajlab.record.integrations.transformers import RecorderCallback, total_loss


class MultiTaskTrainer(Trainer):
    """Trains both tasks."""

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        """Return the total loss; was: sum(losses.values())."""
        outputs = model(inputs["x"])
        losses = {t: torch.nn.functional.cross_entropy(outputs[t], inputs[t]) for t in TASKS}
        loss = total_loss(self, inputs, losses)
        return (loss, outputs) if return_outputs else loss


def rows(seed: int) -> list[dict[str, torch.Tensor]]:
    """Return one dictionary an example."""
    return [
        {"x": x, "left": y[0], "right": y[1]}
        for xs, ys in batches(seed=seed)
        for x, y in zip(xs, ys, strict=True)
    ]


model = Model()
callback = RecorderCallback(
    sys.argv[1],
    tasks=TASKS,
    shared=model.trunk,
    probes=[probes.TaskGradients(every=5)],
    metadata={"setting": "toy", "method": "uniform", "seed": 0},
)
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        folder,
        num_train_epochs=3,
        eval_strategy="epoch",
        label_names=TASKS,
        remove_unused_columns=False,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    MultiTaskTrainer(
        model,
        arguments,
        train_dataset=rows(0),
        eval_dataset={"train": rows(0), "test": rows(1)},
        callbacks=[callback],
    ).train()
