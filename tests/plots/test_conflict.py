from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from tests.analysis.results import made_up
from trajlab import plots
from trajlab.analysis import Conflict


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def result(
    tasks: str = "ab", steps: int = 20, runs: int = 2, condition: str = "", layers: bool = False
) -> Conflict:
    """Pair number p of run r at step s has the cosine p/10 + (-1)**r/100."""
    pairs = pd.DataFrame(
        {
            "setting": "digits",
            "condition": condition,
            "method": "uniform",
            "run": f"{run}.h5",
            "step": step,
            "task_a": first,
            "task_b": second,
            "layer": layer,
            "cosine": pair / 10 + (-1) ** run / 100 if layer == "all" else 1.0,
        }
        for run in range(runs)
        for step in range(steps)
        for pair, (first, second) in enumerate(combinations(tasks, 2))
        for layer in ("all", "first")
    )
    empty = pd.DataFrame()
    others = dict.fromkeys(
        ("similarity", "summary", "tasks", "overall", "corrected", "across_time"), empty
    )
    return made_up("conflict", layers=layers, pairs=pairs, **others)


def drawn(ax: plt.Axes) -> dict[str, np.ndarray]:
    return {
        str(line.get_label()): line.get_xydata()
        for line in ax.lines
        if not str(line.get_label()).startswith("_")
    }


def test_a_pair_is_the_mean_over_runs_of_the_total_gradient() -> None:
    lines = drawn(plots.conflict(result("abc")))
    assert list(lines) == ["a – b", "a – c", "b – c"]
    ax = plots.conflict(result("abcde"))
    assert {band.get_alpha() for band in ax.collections} == {0.05}  # ten overlap
    assert [line.get_markevery() for line in ax.lines[1:]] == [2] * 10
    for number, line in enumerate(lines.values()):
        np.testing.assert_array_equal(line[:, 0], np.arange(20))
        np.testing.assert_allclose(line[:, 1], number / 10)


def test_many_steps_are_windows_from_first_to_last() -> None:
    made = result(steps=5000)
    made.pairs["cosine"] = made.pairs["step"] / 5000
    (line,) = drawn(plots.conflict(made)).values()
    assert len(line) == 50
    np.testing.assert_allclose(line[:, 1], line[:, 0] / 5000)


def test_more_pairs_than_can_be_told_apart_are_one_line() -> None:
    ((label, line),) = drawn(plots.conflict(result("abcdef"))).items()
    assert label.endswith("mean of 15 pairs")
    np.testing.assert_allclose(line[:, 1], 0.7)


def test_ten_pairs_are_told_apart_and_eleven_are_not() -> None:
    ten = result("abcde")
    assert len(drawn(plots.conflict(ten))) == 10
    eleventh = ten.pairs.query("task_a == 'a' and task_b == 'b'").assign(task_b="f", cosine=0.01)
    made = replace(ten, pairs=pd.concat([ten.pairs, eleventh]), corrected=eleventh)
    ((label, line),) = drawn(plots.conflict(made)).items()  # and no corrected pair by itself
    assert label == "mean of 11 pairs"
    np.testing.assert_allclose(line[:, 1], (4.5 + 0.01) / 11)


def test_a_band_is_the_middle_of_all_runs_in_windows_beyond_fifty_steps() -> None:
    for steps, middles in ((50, np.arange(50)), (100, np.arange(0.5, 100, 2))):
        made = result(steps=steps, runs=11)
        made.pairs["cosine"] = (
            made.pairs["step"] - made.pairs["run"].str[:-3].astype(int) ** 2
        ) / 100
        ax = plots.conflict(made)
        (line,) = drawn(ax).values()
        np.testing.assert_allclose(line, np.column_stack([middles, (middles - 35) / 100]))
        edges = ax.collections[0].get_paths()[0].vertices
        if steps == 50:  # at each of them of runs 9 and 1
            low, high = (edges[edges[:, 0] == 7, 1].min(), edges[edges[:, 0] == 7, 1].max())
            assert (low, high) == pytest.approx(((7 - 81) / 100, (7 - 1) / 100))
    (line,) = drawn(plots.conflict(result(steps=51))).values()
    assert len(line) == 50
    assert ax.lines[0].get_ydata() == [0, 0]


def test_groups_are_lines_of_their_own() -> None:
    both = [result(condition="+same"), result(condition="+noisy")]
    pairs = pd.concat([one.pairs for one in both])
    made = Conflict(**{**vars(both[0]), "pairs": pairs})
    assert list(drawn(plots.conflict(made))) == ["+same", "+noisy"]


def test_zero_is_inside_the_axes() -> None:
    assert plots.conflict(result()).get_ylim() == (-1.05, 1.05)


def test_nothing_to_draw_is_said() -> None:
    made = result()
    made.pairs["cosine"] = np.nan
    assert "no step" in plots.conflict(made).texts[0].get_text()


def test_the_corrected_cosine_is_marked_beside_the_batch_cosine() -> None:
    whole = result()
    rows = whole.pairs.query("layer == 'all' and step in (0, 10)").assign(cosine=0.9)
    ax = plots.conflict(Conflict(**{**vars(whole), "corrected": rows}))
    np.testing.assert_allclose(drawn(ax)["a – b, noise-corrected"], [[0, 0.9], [10, 0.9]])
    batch, mark = (
        next(line for line in ax.lines if line.get_label() == f"a – b{name}")
        for name in ("", ", noise-corrected")
    )
    # the same mark in the same colour, but hollow and twice as large, over the curve and unjoined
    assert (mark.get_marker(), mark.get_color()) == (batch.get_marker(), batch.get_color())
    assert mark.get_markersize() == 2 * batch.get_markersize()
    assert (mark.get_markerfacecolor(), mark.get_linestyle()) == ("white", "None")
    assert mark.get_zorder() > batch.get_zorder()


def test_each_group_has_the_corrected_cosine_of_its_own_runs() -> None:
    both = [result(condition="+same"), result(condition="+noisy")]
    rows = pd.concat([one.pairs for one in both])
    marked = rows.query("layer == 'all' and step in (0, 10)")
    marked = marked.assign(cosine=marked["condition"].map({"+same": 0.4, "+noisy": -0.4}))
    marked.loc[marked["run"] == "1.h5", "cosine"] += 0.2
    marked.loc[(marked["run"] == "1.h5") & (marked["step"] == 10), "cosine"] = np.nan
    lines = drawn(plots.conflict(replace(both[0], pairs=rows, corrected=marked)))
    assert list(lines) == ["+same", "+same, noise-corrected", "+noisy", "+noisy, noise-corrected"]
    np.testing.assert_allclose(lines["+same, noise-corrected"], [[0, 0.5], [10, 0.4]])
    np.testing.assert_allclose(lines["+noisy, noise-corrected"], [[0, -0.3], [10, -0.4]])


def test_layers_are_a_map_over_steps_with_conflict_hatched() -> None:
    made = result("abc", layers=True)
    second = made.pairs.query("layer == 'first'").assign(layer="second")
    second["cosine"] = 0.5 - second["step"] / 10  # below zero from step 6 on
    ax = plots.conflict(replace(made, pairs=pd.concat([made.pairs, second])))
    cells, hatched = (mesh.get_array() for mesh in ax.collections)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    np.testing.assert_allclose(cells, [np.ones(20), 0.5 - np.arange(20) / 10])
    np.testing.assert_array_equal(np.ma.getmaskarray(hatched)[1], np.arange(20) < 6)
    assert np.ma.getmaskarray(hatched)[0].all()
    labels = [axes.get_ylabel() for axes in ax.figure.axes]
    assert labels[1] == "cosine of the task gradients, mean of 3 pairs (hatched below 0)"


def test_no_layers_to_draw_is_said() -> None:
    made = result(layers=True)
    made.pairs["cosine"] = np.nan
    assert "no layer" in plots.conflict(made).texts[0].get_text()
