"""What stands for a run."""

import numpy as np
import pytest

from trajlab.analysis.runs.groups import group
from trajlab.analysis.summary import summarise_runs
from trajlab.store import Trajectory, Writer
from trajlab.store.schema import standard


def test_the_excess_similarity_is_above_that_of_orthogonal_gradients(tmp_path):
    for seed in range(2):
        path = tmp_path / f"{seed}.h5"
        writer = Writer(path, ["left", "right", "top"], metadata={"method": "a", "seed": seed})
        writer.declare(standard("similarity", task=["left", "right", "top"]))
        writer.append("similarity", {"step": 1, "cosine_to_update": np.array([0.8, 0.6, 3**-0.5])})
        writer.close()
    rows = summarise_runs(group([Trajectory(tmp_path / f"{i}.h5") for i in range(2)]))
    expected = [0.8 - 3**-0.5, 0.6 - 3**-0.5, 0] * 2
    assert rows["excess_similarity"].tolist() == pytest.approx(expected)
