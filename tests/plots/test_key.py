"""The key of a figure: whom it names, in how many columns, and when panels share it."""

from collections.abc import Iterator

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from trajlab.plots.key import columns, legend, share


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def told(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_more_than_forty_series_are_counted_and_bands_named_behind_them() -> None:
    for number, expected in (
        (40, [str(i) for i in range(40)]),
        (41, [*(str(i) for i in range(39)), "… and 2 more"]),
        (45, [*(str(i) for i in range(39)), "… and 6 more"]),
    ):
        ax = plt.subplots()[1]
        for i in range(number):
            ax.plot([0], [0], label=str(i))
        legend(ax, "against all", {"middle": 0.15, "whole": 0.4})
        assert told(ax) == [*expected, "middle", "whole"]
        assert ax.get_legend().get_title().get_text() == "against all"
        assert [patch.get_alpha() for patch in ax.get_legend().get_patches()[-2:]] == [0.15, 0.4]


def test_axes_without_a_named_series_have_no_key() -> None:
    ax = plt.subplots()[1]
    ax.plot([0], [0])
    legend(ax, "title", {"middle": 0.15})
    assert ax.get_legend() is None


def test_the_key_is_under_the_axis_label_however_many_lines_that_has() -> None:
    tops = []
    for lines in (1, 3):
        figure, ax = plt.subplots()
        ax.plot([0], [0], label="a")
        ax.set_xlabel("\n".join(["word"] * lines))
        legend(ax)
        figure.canvas.draw()
        box = ax.get_legend().get_window_extent()
        assert box.y1 < ax.xaxis.label.get_window_extent().y0
        tops.append(box.y1)
    assert tops[0] - tops[1] == pytest.approx(0.4 * figure.dpi)


@pytest.mark.parametrize(
    ("labels", "width", "number"),
    [
        (["a" * 10, "b" * 20, "c" * 30], 5.41, 3),  # 1.17, 1.8 and 2.43 inches
        (["a" * 10, "b" * 20, "c" * 30], 5.39, 2),
        (["a" * 10, "b" * 20, "c" * 30], 4.24, 2),  # the wider one of the first two, and the last
        (["a" * 10, "b" * 20, "c" * 30], 4.22, 1),
        (["c" * 30], 1.0, 1),
        ([r"\$" * 10, "b" * 20 + "\n" + "c" * 5], 2.98, 2),  # a dollar is one letter
        ([r"\$" * 10, "b" * 20 + "\n" + "c" * 5], 2.96, 1),
    ],
)
def test_a_key_has_the_columns_that_its_longest_lines_leave_room_for(
    labels: list[str], width: float, number: int
) -> None:
    with mpl.rc_context({"font.size": 9}):
        assert columns(labels, width) == number


def test_panels_share_the_longest_key_if_it_tells_all_of_the_others() -> None:
    for places, titles, faces, shades, shared in (
        ((1, 2), "tt", ("b", "b"), (0.1, 0.1), True),
        ((2, 1), "tt", ("b", "b"), (0.1, 0.1), True),
        ((2, 1), "tu", ("b", "b"), (0.1, 0.1), False),
        ((2, 1), "tt", ("b", "w"), (0.1, 0.1), False),
        ((2, 1), "tt", ("b", "b"), (0.1, 0.2), False),
        ((1,), "t", ("b",), (0.1,), False),
    ):
        figure, grid = plt.subplots(1, len(places), squeeze=False)
        panels = list(grid.flat)
        for ax, number, title, face, shade in zip(
            panels, places, titles, faces, shades, strict=True
        ):
            for name in "ab"[:number]:
                ax.plot([0], [0], label=name, color="b", marker="o", markerfacecolor=face)
            ax.fill_between([0], [0], [1], color="b", alpha=shade, label="band")
            ax.legend(title=title)
        key = share(figure)
        assert (key is not None) == shared
        assert [ax.get_legend() is None for ax in panels] == [shared] * len(places)
        if key:
            assert [text.get_text() for text in key.get_texts()] == ["a", "b", "band"]
            assert key.get_title().get_text() == "t"
