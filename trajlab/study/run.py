"""One run of a study: a resolved configuration, its file, and how it is trained."""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from trajlab.errors import TrajlabError
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
            found = Trajectory(self.path)
        except TrajlabError:
            return None  # not begun; or damaged, and training it again says so
        return found if found.status == "complete" else None

    def train(self) -> float:
        """Train what is missing of it, on one thread.

        Returns
        -------
        float
            Seconds it took.
        """
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
