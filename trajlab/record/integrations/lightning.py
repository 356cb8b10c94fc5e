"""Recording Lightning."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from trajlab.errors import TrajlabError
from trajlab.record.integrations.session import Session
from trajlab.record.loop.losses import Weights, weighted_sum

try:
    import lightning.pytorch as pl
    from lightning.pytorch.utilities.data import extract_batch_size
except ImportError as error:
    raise TrajlabError("lightning is not installed; run pip install lightning") from error

_PREFIX = re.compile(r"^(train|valid|validation|val|test)[_/]")


class RecorderCallback(pl.Callback):  # type: ignore[misc]
    """Records a ``Trainer`` whose module's ``training_step`` returns `total_loss`.

    A step is the trainer's ``global_step``, under manual optimization too. Validation and test
    loops are recorded with the losses of each task, where their steps call `total_loss`, and what
    is logged as ``<task>_<metric>``, after a prefix such as ``val_`` or ``test/``. Training that
    resumes from a checkpoint goes on in the same file. Several callbacks may record one training,
    each into its own file.

    Parameters
    ----------
    path, tasks
        As for `Recorder`.
    splits : sequence of str
        What the validation data loaders are, in their order: ``train``, ``validation``, ``test``.
    settings
        Further arguments of `Recorder`: ``shared``, ``probes``, ``metadata``, ….

    Raises
    ------
    TrajlabError
        If the trainer decides what is given here; or, when training begins, as `Recorder`.

    Examples
    --------
    In a module of one's own (``examples/lightning_module.py`` is a whole one)::

        class Model(pl.LightningModule):
            def training_step(self, batch, index):
                x, left, right = batch
                z = self.trunk(x)
                losses = {"left": ce(self.left(z), left), "right": ce(self.right(z), right)}
                return total_loss(self, losses)

        callback = RecorderCallback("run.h5", tasks=["left", "right"], shared=model.trunk)
        pl.Trainer(callbacks=[callback]).fit(model, loader)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tasks: Sequence[str],
        *,
        splits: Sequence[str] = ("validation",),
        **settings: Any,
    ) -> None:
        self.session = Session(path, tasks, settings)
        self._splits = tuple(splits)
        self._resumes = False
        self.batch = (0, 1)  # data loader and size of the batch that is being evaluated

    @property
    def state_key(self) -> str:
        """What tells this callback's state in a checkpoint from another's."""
        return str(self._generate_state_key(path=self.session.path))

    def state_dict(self) -> dict[str, Any]:
        """Write what the checkpoint counts on."""
        self.session.flush()
        return {"path": self.session.path}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on in the file when training begins."""
        self._resumes = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the file, before the first step."""
        self.session.begin(
            pl_module,
            trainer.optimizers[0],
            getattr(trainer.precision_plugin, "scaler", None),
            trainer.global_step,
            resume=self._resumes,
        )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any, **__: Any
    ) -> None:
        """Check that losses came."""
        self.session.check_observed("training_step")

    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note which data the step is about to evaluate, and how many."""
        self.batch = (dataloader_idx, extract_batch_size(batch))

    on_test_batch_start = on_validation_batch_start

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the evaluation of each validation data loader."""
        if trainer.sanity_checking:
            self.session.forget()
            return
        for loader, split in enumerate(self._splits):
            self._evaluate(trainer, split, loader, several=len(self._splits) > 1)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the evaluation of the test data."""
        self._evaluate(trainer, "test", 0, several=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the file."""
        self.session.end()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the file as a run that can be resumed."""
        self.session.end("recording")

    def _evaluate(self, trainer: pl.Trainer, split: str, loader: int, several: bool) -> None:
        suffix = f"/dataloader_idx_{loader}" if several else ""
        metrics = {
            _PREFIX.sub("", name.removesuffix(suffix)): value
            for name, value in trainer.callback_metrics.items()
            if name.endswith(suffix)
        }
        step = trainer.global_step
        self.session.evaluate(split, metrics, step, _completed(trainer), loader)


def total_loss(
    module: pl.LightningModule,
    losses: Mapping[str, Tensor | None],
    weights: Weights | None = None,
    accumulate: int | None = None,
) -> Tensor:
    """Return the weighted sum of the losses, and hand them to the callbacks that record.

    Without such a callback it is the sum alone.

    Parameters
    ----------
    module : LightningModule
        The module whose step this is.
    losses : mapping of str to Tensor or None
        The scalar loss of each task; one left out, or None, is omitted.
    weights : mapping of str to float or Tensor, optional
        The weight of each loss, 1 by default.
    accumulate : int, optional
        The number of backward passes to an update, under manual optimization; by default, the
        trainer's ``accumulate_grad_batches``.
    """
    trainer = module.trainer
    for callback in trainer.callbacks:
        if not isinstance(callback, RecorderCallback):
            continue
        if torch.is_grad_enabled():
            callback.session.observe(
                losses,
                weights,
                trainer.global_step,
                trainer.current_epoch,
                accumulate or trainer.accumulate_grad_batches,
            )
        else:
            loader, size = callback.batch
            callback.session.collect(losses, size, loader)
    return weighted_sum(losses, weights)


def _completed(trainer: pl.Trainer) -> int:
    """Return the epochs completed at an evaluation, which may be within one."""
    within = trainer.state.fn == "fit"
    ended = within and trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
    return int(trainer.current_epoch + ended)
