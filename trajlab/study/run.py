"""One run of a study: a resolved configuration, its file, and how it is trained."""

import hashlib
import json
import re
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from trajlab.errors import TrajlabError
from trajlab.record.failures import reason
from trajlab.store import Trajectory
from trajlab.study import recorded
from trajlab.study.values import LATER
from trajlab.training import Plan, train
from trajlab.training.settings import setting


@dataclass(frozen=True)
class Run:
    """A run that is wanted, whether or not it was trained.

    Attributes
    ----------
    folder
        Folder for its trajectory file.
    configuration
        Every hyper-parameter and what is recorded, resolved.
    device, root
        Where to train and where data lie: no part of what the run is.
    """

    folder: Path
    configuration: Mapping[str, Any]
    device: str = "cpu"
    root: Path | None = None

    @cached_property
    def path(self) -> Path:
        """Its file: equal configurations of two stages are one run."""
        plan = self.plan
        text = f"{plan.method}{plan.condition}-seed{plan.seed}"
        absent = {key: default for key, (_, default) in LATER.items()}
        told = {k: v for k, v in self.configuration.items() if k not in absent or v != absent[k]}
        content = json.dumps(told, sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:8]
        return self.folder / f"{re.sub(r'[^A-Za-z0-9+.-]', '_', text)}-{digest}.h5"

    @cached_property
    def plan(self) -> Plan:
        """What to train."""
        values = {key: value for key, value in self.configuration.items() if key != "record"}
        options = dict(values["method"])
        return Plan(
            **values | {"setting": setting(values["setting"]), "method": options.pop("name")},
            options=options,
        )

    def trajectory(self) -> Trajectory | None:
        """Return what was recorded if the run is finished, else None."""
        try:
            trajectory = Trajectory(self.path)
        except TrajlabError:
            return None  # not begun; or damaged, and training it again says so
        return trajectory if trajectory.status == "complete" else None

    @property
    def failure(self) -> str | None:
        """Why it is not trained again: it ended in an error; None if it did not."""
        if not self._mark.exists() or self.trajectory() is not None:
            return None
        return self._mark.read_text().partition("\n")[0]

    @property
    def settled(self) -> bool:
        """Whether it is finished, or failed: there is nothing more to train."""
        return self.trajectory() is not None or self.failure is not None

    @property
    def _mark(self) -> Path:
        return self.path.with_suffix(".failed")

    def fail(self, sentence: str, details: str = "") -> None:
        """Keep beside its file that it failed, so that it counts as tried.

        Parameters
        ----------
        sentence
            Why, on one line.
        details
            What helps to find out more.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mark.write_text(f"{sentence}\n{details}")

    def retry(self) -> None:
        """Forget that it failed."""
        self._mark.unlink(missing_ok=True)

    def train(self) -> float:
        """Train what is missing of it, on one thread.

        An error that no sentence of trajlab's tells how to mend is kept beside the run's file.

        Returns
        -------
        float
            Seconds it took.

        Raises
        ------
        TrajlabError
            If something has to be mended first, or training ended in an error.
        """
        try:
            return self._train()
        except (TrajlabError, OSError):
            raise
        except Exception as error:  # anything may come from a method's library, and of one run
            self.fail(reason(error), traceback.format_exc())
            # in words: an error of a library may not survive the way to another process
            raise TrajlabError(
                f"{reason(error)} (in full in {self._mark.name}); it counts as tried, and --retry "
                "trains it again"
            ) from None

    def _train(self) -> float:
        torch.set_num_threads(1)
        start = time.monotonic()
        record = self.configuration["record"]
        train(
            self.plan,
            self.path,
            probes=partial(recorded.build, record),
            device=self.device,
            root=self.root,
            # a seed fixes data, weights and batches alike in all conditions
            metadata={"record": record, "pair_id": str(self.plan.seed)},
        )
        return time.monotonic() - start
