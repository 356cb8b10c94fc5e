"""Paths of runs in their plane, in the order of their steps."""

from itertools import product

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from tests.analysis.results import made_up
from trajlab import plots


def test_a_path_is_drawn_by_step_to_its_end_and_each_group_named_once() -> None:
    rows = pd.DataFrame(
        {"setting": "s", "condition": condition, "method": "m", "run": f"{condition}{run}"}
        | {"step": step, "component_1": step + run, "component_2": -(step**2)}
        for condition, run, step in product(("+b", ""), (0, 5), (3, 1, 2))
    )
    explained = pd.DataFrame({"setting": "s", "component": [2, 1, 3], "explained": [0.3, 0.6, 0.1]})
    made = made_up("geometry", projection=rows, explained=explained)
    ax = plots.geometry(made)
    assert ax.get_xlabel() == "component 1 (60% of the variance)"
    assert ax.get_ylabel() == "component 2 (30% of the variance)"
    paths, ends = ax.lines[::2], ax.lines[1::2]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["+b", "no condition"]
    for path, end, run in zip(paths, ends, (0, 5, 0, 5), strict=True):
        np.testing.assert_array_equal(
            path.get_xydata(), [[1 + run, -1], [2 + run, -4], [3 + run, -9]]
        )
        np.testing.assert_array_equal(end.get_xydata(), [[3 + run, -9]])
        assert (path.get_marker(), path.get_color()) == ("None", end.get_color())
    assert [end.get_marker() for end in ends] == ["o", "o", "s", "s"]
    lacking = made_up("geometry", projection=rows.drop(columns="component_2"), explained=explained)
    assert plots.geometry(lacking).texts[0].get_text() == "fewer than two components"
    plt.close("all")
