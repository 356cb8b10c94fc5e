from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import PolyCollection

from tests.analysis.results import made_up
from trajlab import plots
from trajlab.analysis import Gap
from trajlab.plots.gap import vertical_range

LOSS = np.logspace(-3, 0, 13)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def result(heights: dict[str, float], onset: float = 0.1, **key: str) -> Gap:
    """A straight gap for each condition, significant below the onset."""
    curves, summaries = [], []
    for condition, height in heights.items():
        row = {"setting": "digits", "condition": condition, "method": "uniform", "task": "first"}
        row |= {"baseline": "method=single", "metric": "accuracy", **key}
        gap = height * -np.log10(LOSS)
        curve = {"at": LOSS, "train_loss": LOSS, "gap": gap, "low": gap - 1, "high": gap + 1}
        curve |= {"band_low": gap - 3, "band_high": gap + 3}
        curves.append(pd.DataFrame({**row, **curve, "significant": onset >= LOSS}))
        at_end = {"common_loss": 0.0009, "matched": 3.1 * height}
        at_end |= {"matched_low": 3.1 * height - 1, "matched_high": 3.1 * height + 2}
        summaries.append({**row, "onset_loss": onset, **at_end})
    tables = {"curve": pd.concat(curves), "summary": pd.DataFrame(summaries)}
    return made_up("gap", **tables)


def marks(ax: plt.Axes) -> list[np.ndarray]:
    """Single points, without the caps of bars."""
    single = [line for line in ax.lines if len(line.get_xdata()) == 1]
    return [line.get_xydata()[0] for line in single if line.get_marker() != "_"]


def test_the_loss_falls_to_the_right_on_a_logarithmic_axis() -> None:
    ax = plots.gap(result({"+same": 1}))
    assert ax.get_xscale() == "log"
    left, right = ax.get_xlim()
    assert left > right


def test_every_comparison_is_a_line_with_its_band_and_onset() -> None:
    ax = plots.gap(result({"+same": 1, "+noisy": -2}))
    labels = [entry.get_text() for entry in ax.get_legend().get_texts()]
    bands = ["interval at each loss", "band for the whole curve"]
    assert labels == ["+same, onset at 0.1", "+noisy, onset at 0.1", *bands]
    assert ax.get_legend().get_title().get_text() == "against method=single"
    lines = [line for line in ax.lines if line.get_label() in labels]
    shades = [each for each in ax.collections if isinstance(each, PolyCollection)]
    for line, height, *around in zip(lines, (1, -2), shades[::2], shades[1::2], strict=True):
        np.testing.assert_allclose(line.get_ydata(), height * -np.log10(LOSS))
        for shade, wide in zip(around, (1, 3), strict=True):
            edges = shade.get_paths()[0].vertices[:, 1]
            assert edges.max() == pytest.approx(max(height * 3, 0) + wide)
            assert edges.min() == pytest.approx(min(height * 3, 0) - wide)
    np.testing.assert_allclose(marks(ax), [[0.1, 1], [0.1, -2]])


def test_the_line_ends_at_the_common_loss_with_the_interval_of_the_headline() -> None:
    ax = plots.gap(result({"+same": 1}))
    ends = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 2]
    assert any(np.allclose(end, [[0.001, 3], [0.0009, 3.1]]) for end in ends)
    (bar,) = ax.containers
    np.testing.assert_allclose(bar[2][0].get_segments()[0], [[0.0009, 2.1], [0.0009, 5.1]])
    assert ax.get_ylim()[0] < 3.1 < ax.get_ylim()[1]


def test_what_is_not_significant_is_not_underlaid() -> None:
    ax = plots.gap(result({"+same": 1}, onset=0.01))
    (under,) = (line for line in ax.lines if line.get_alpha() is not None)
    np.testing.assert_array_equal(np.isfinite(under.get_ydata()), LOSS <= 0.01)


def test_no_onset_is_said_and_not_marked() -> None:
    ax = plots.gap(result({"+same": 1}, onset=np.nan))
    assert ax.get_legend().get_texts()[0].get_text() == "+same · uniform, no onset"
    assert not marks(ax)


def test_lines_differ_without_colour() -> None:
    ax = plots.gap(result({f"+{i}": i for i in range(12)}))
    looks = [(line._unscaled_dash_pattern, line.get_marker()) for line in ax.lines]
    lines = [
        look for look, line in zip(looks, ax.lines, strict=True) if len(line.get_xdata()) == 13
    ]
    drawn = [str(look) for look in lines if look[1] != "None"]
    assert len(set(drawn)) == len(drawn) == 12


def test_an_existing_axes_is_drawn_on() -> None:
    ax = plt.subplots()[1]
    assert plots.gap(result({"+same": 1}), ax=ax) is ax


def test_along_a_clock_training_runs_to_the_right_and_ends_at_its_latest() -> None:
    made = result({"+same": 1}, x="tokens", loss="")
    made = replace(made, options=replace(made.options, x="tokens"))
    made.summary["common_loss"] = 1.2
    ax = plots.gap(made)
    left, right = ax.get_xlim()
    assert left < right
    assert (ax.get_xlabel(), ax.get_xscale()) == ("tokens", "log")
    ends = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 2]
    assert any(np.allclose(end, [[1, 0], [1.2, 3.1]]) for end in ends)


def test_the_axes_are_named_after_what_is_drawn_and_panels_leave_the_onset_to_the_table() -> None:
    rising = result({"+same": 1})
    shuffled = replace(rising, curve=rising.curve.sample(frac=1, random_state=0))
    panels = plt.subplots(1, 2)[1]
    plots.gap(shuffled, ax=panels[0])
    assert panels[0].get_xlabel() == "training loss (falls from left to right)"
    assert panels[0].get_ylabel() == "gap in accuracy (up is better)"
    assert panels[0].get_legend().get_texts()[0].get_text() == "+same · uniform"
    (curve,) = (line for line in panels[0].lines if line.get_label() == "+same · uniform")
    np.testing.assert_allclose(curve.get_xydata(), np.column_stack([LOSS, -np.log10(LOSS)]))
    assert curve.get_markevery() == 1
    np.testing.assert_allclose(marks(panels[0]), [[0.1, 1]])
    between = result({"+same": 1}, onset=0.02)  # not a point of the grid: along the logarithm
    np.testing.assert_allclose(marks(plots.gap(between)), [[0.02, -np.log10(0.02)]])
    unknown = result({"+same": 1})
    unknown.curve["significant"] = None
    (under,) = (line for line in plots.gap(unknown).lines if line.get_alpha() is not None)
    assert np.isnan(under.get_ydata()).all()


def test_lines_of_two_baselines_stand_in_one_picture_and_what_is_missing_is_left_out() -> None:
    rising, lacking = result({"+same": 1}), result({"+noisy": -1}, baseline="sum")
    rising.curve["baseline"] = "single"
    rising.summary[["matched", "matched_low", "matched_high"]] = [30.0, 29.5, 31.0]
    lacking.summary["matched"] = np.nan
    lacking.curve.loc[lacking.curve["at"] < 0.01, "gap"] = np.nan
    both = {
        name: pd.concat([getattr(rising, name), getattr(lacking, name)])
        for name in ("curve", "summary")
    }
    ax = plots.gap(replace(rising, **both))
    assert ax.get_legend().get_title().get_text() == "against single or sum"
    assert [len(bar.lines[2][0].get_segments()) for bar in ax.containers] == [1, 0]
    short = next(line for line in ax.lines if line.get_label() == "+noisy, onset at 0.1")
    assert short.get_xdata().min() == pytest.approx(0.01)
    assert ax.get_ylim()[1] > 31
    plots.gap(rising, ax=ax)
    assert ax.xaxis_inverted()  # not turned back


def test_the_height_holds_the_reliable_part_and_zero_with_a_margin() -> None:
    widths = np.array([1.0, 2.0, 3.0])
    curve = pd.DataFrame({"gap": [2.0, 5.0, 3.0]})
    curve["low"], curve["high"] = curve["gap"] - widths / 4, curve["gap"] + widths * 3 / 4
    assert vertical_range(curve) == pytest.approx((-0.15 * 6.5, 6.5 + 0.15 * 6.5))
    down = -curve.rename(columns={"low": "high", "high": "low"})
    assert vertical_range(down) == pytest.approx((-6.5 - 0.15 * 6.5, 0.15 * 6.5))
    flat = pd.DataFrame({"gap": [0.0], "low": [np.nan], "high": [np.nan]})
    assert vertical_range(flat) == (-1, 1)


def test_a_wide_band_does_not_flatten_the_curve() -> None:
    made = result({"+same": 1})
    made.curve["band_high"] = 1000.0
    assert plots.gap(made).get_ylim()[1] < 10


def test_a_gap_without_a_reliable_interval_does_not_flatten_the_curve() -> None:
    made = result({"+same": 1})
    wide, low, high = made.curve.index[-1], "low", "high"
    made.curve.loc[wide, ["gap", low, high]] = [50, 50 - 3.9, 50 + 3.9]  # 3.9 times as wide
    assert plots.gap(made).get_ylim()[1] > 50
    made.curve.loc[wide, [low, high]] = [50 - 4.1, 50 + 4.1]
    assert plots.gap(made).get_ylim()[1] < 10


def test_of_a_quantity_up_is_not_called_better() -> None:
    ax = plots.gap(result({"+same": 1}, metric="sharpness/value"))
    assert ax.get_ylabel() == "difference in sharpness/value (up is larger)"


def test_nothing_to_draw_is_said() -> None:
    whole = result({"+same": 1})
    ax = plots.gap(replace(whole, curve=whole.curve.iloc[:0]))
    assert "no training loss" in ax.texts[0].get_text()
