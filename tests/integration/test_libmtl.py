"""The example for LibMTL records what its weighting gets, and changes nothing.

``make libmtl-check`` installs LibMTL, which no registry has in a release that a present torch runs.
"""

import random
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trajlab.store import Trajectory

trainers = pytest.importorskip("LibMTL.trainer", reason="LibMTL is missing: make libmtl-check")
EXAMPLES = Path(__file__).parents[2] / "examples"


class OnCpu:
    """torch, to a trainer that asks for the first GPU whether there is one or not."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def device(self, name: str) -> torch.device:
        return torch.device("cpu")


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the example leaves behind; `handed` has the task gradients that LibMTL made itself."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "argv", ["libmtl_trainer.py", str(tmp_path / "run.h5")])
    if not torch.cuda.is_available():
        monkeypatch.setattr(trainers, "torch", OnCpu())
    handed: list[torch.Tensor] = []
    weighting = trainers.weighting_method.PCGrad
    made = weighting._compute_grad

    def watched(self: Any, losses: torch.Tensor, mode: str) -> torch.Tensor:
        handed.append(made(self, losses, mode))
        return handed[-1].clone()

    monkeypatch.setattr(weighting, "_compute_grad", watched)
    random.seed(0)  # the order in which PCGrad projects
    found = runpy.run_path(str(EXAMPLES / "libmtl_trainer.py"))
    return found | {"run": Trajectory(tmp_path / "run.h5"), "handed": list(handed)}


def test_recorded_is_what_the_weighting_makes_itself(example: dict[str, Any]) -> None:
    own = torch.stack([g @ g.T for g in example["handed"]]).cpu()
    assert example["run"].status == "complete"
    assert own.shape == (40, 2, 2)
    np.testing.assert_allclose(example["run"].gram(), own, rtol=1e-4, atol=1e-6)
    assert example["run"].table("evaluations/test")["step"].tolist() == [20, 40]


def test_training_is_what_it_is_without(example: dict[str, Any]) -> None:
    torch.manual_seed(0)
    settings = example["settings"] | {"decoders": example["decoders"]()}
    plain = trainers.Trainer(**settings)
    random.seed(0)
    plain.train(example["train"], example["test"], epochs=2)
    recorded = example["trainer"].model.state_dict()
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, recorded[name]), name
