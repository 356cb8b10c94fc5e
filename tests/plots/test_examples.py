"""Conflict of examples beside that of tasks."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from tests.analysis.results import made_up
from trajlab import plots


def test_cosines_stand_over_sizes_with_intervals_that_need_not_be_even() -> None:
    rows = pd.DataFrame(
        {"setting": "s", "condition": "", "method": "m", "between": between, "size": size}
        | {"cosine": height / size, "cosine_low": height / size - 0.1}
        | {"cosine_high": height / size + 0.3}
        for between, height in (("tasks", 1), ("examples of a task", -2))
        for size in (16, 1, 4)
    )
    ax = plots.examples(made_up("conflict", examples=rows))
    assert ax.get_xscale() == "log"
    assert ax.xaxis.get_transform().base == 2
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "tasks",
        "examples of a task",
    ]
    for bars, height in zip(ax.containers, (1, -2), strict=True):
        points = np.array([[size, height / size] for size in (1, 4, 16)])
        np.testing.assert_allclose(bars.lines[0].get_xydata(), points)
        ends = [segment[:, 1] for segment in bars.lines[2][0].get_segments()]
        np.testing.assert_allclose(ends, points[:, 1:] + [-0.1, 0.3])
    level = [line for line in ax.lines if len(line.get_xdata()) == 2]
    assert [line.get_ydata() for line in level] == [[0, 0]]
    nothing = plots.examples(made_up("conflict"))
    assert nothing.texts[0].get_text() == "gradients of examples were not recorded"
    assert nothing.get_ylabel() == "mean cosine of two gradients"
    plt.close("all")


@pytest.mark.parametrize(("steps", "columns"), [(40, 40), (41, 40), (80, 40)])
@pytest.mark.parametrize("layers", [30, 31])
def test_a_map_of_layers_has_windows_of_steps_and_names_where_there_is_room(
    steps: int, columns: int, layers: int
) -> None:
    """Layer l of run r at step s has the cosine (s − l − 100 r) / 1000."""
    rows = pd.DataFrame(
        {"setting": "s", "condition": "", "method": "m", "run": str(run), "step": step}
        | {"task_a": "a", "task_b": "b", "layer": layer if layer == "all" else f"layer{layer}"}
        | {"cosine": 0.9 if layer == "all" else (step - layer - 100 * run) / 1000}
        for run in range(2)
        for step in range(steps)
        for layer in ("all", *range(layers))
    )
    rows.loc[rows["layer"] == "layer3", "cosine"] = np.nan
    ax = plots.conflict(made_up("conflict", layers=True, pairs=rows))
    cells, hatched = (mesh.get_array() for mesh in ax.collections)
    assert cells.shape == (layers, columns)
    every = steps / columns if steps != 41 else 1
    middles = np.arange(columns) * every + (every - 1) / 2
    kept = [layer for layer in range(layers) if layer != 3]
    expected = (middles[None] - np.arange(layers)[:, None] - 50) / 1000
    if steps != 41:
        np.testing.assert_allclose(cells[kept], expected[kept])
    assert np.ma.getmaskarray(cells)[3].all()
    np.testing.assert_array_equal(np.ma.getmaskarray(hatched)[kept], cells[kept] >= 0)
    low, high = ax.collections[0].get_clim()
    assert high == -low == pytest.approx(np.abs(cells).max())
    assert ax.yaxis_inverted()  # the first layer above
    if layers == 30:
        assert [text.get_text() for text in ax.get_yticklabels()] == [
            f"layer{i}" for i in range(30)
        ]
    else:
        assert ax.get_ylabel() == "31 layers, in the order of the model"
    assert ax.figure.axes[1].get_ylabel() == "cosine of the task gradients (hatched below 0)"
    plt.close("all")
