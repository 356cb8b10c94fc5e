"""The forest plot at the head of the page: order, signs, and where its marks stand."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.analysis.gap.test_sentences import row
from tests.analysis.results import made_up
from trajlab.analysis.diagnosis.diagnose import Diagnosis, DiagnosisOptions
from trajlab.report.overview import WIDTH, _drawn, _edge, forests


def made(*rows, **changes) -> Diagnosis:
    gap = made_up("gap", summary=pd.DataFrame(rows))
    options = DiagnosisOptions(**{**vars(gap.options), "margin": None})
    empty = pd.DataFrame()
    return replace(
        Diagnosis(options=options, verdict=empty, analyses=empty, results={"gap": gap}), **changes
    )


def centre(svg: str) -> float:
    return float(re.search('cx="([^"]*)"', svg)[1])


def test_rows_are_sorted_by_delta_and_told_by_sign_and_colour():
    rows = [
        row(task="a", delta=(-2.0, 0.5)),
        row(task="b", delta=(3.0, 0.5)),
        row(task="c", delta=(0.1, 0.5)),
    ]
    (forest,) = forests(made(*rows))
    assert [(x.task, x.sign, x.outcome) for x in forest.lines] == [
        ("b", "▲", "improved"),
        ("c", "○", "unclear"),
        ("a", "▼", "lowered"),
    ]
    assert forest.title == "digits: test accuracy against method=single"
    assert forest.lines[0].delta == "+3 [2.5, 3.5]"
    assert forest.lines[0].n == "5 / 5"


def test_a_line_has_its_group_and_the_parts_of_its_delta_in_order():
    parts = {"matched": (0.75, 0.5), "reach": (-1.5, 2.0), "selection": (0.0, 0.25)}
    (forest,) = forests(made(row(method="joint", **parts)))
    (line,) = forest.lines
    assert line.group == "+x · joint"
    assert line.parts == ("+0.75 [0.25, 1.25]", "-1.5 [-3.5, 0.5]", "0 [-0.25, 0.25]")
    (forest,) = forests(made(row(matched=(np.nan, 1.0), reach=(2.0, np.nan))))
    assert forest.lines[0].parts == ("–", "+2", "0 [-1, 1]")


def test_a_group_that_lacks_what_another_has_is_named_after_that():
    rows = [row(condition="", method="", delta=(3.0, 0.5)), row(method="", delta=(-2.0, 0.5))]
    (forest,) = forests(made(*rows))
    assert [line.group for line in forest.lines] == ["no condition", "+x"]


def test_marks_stand_on_their_side_of_zero():
    rows = [row(task="a", delta=(-2.0, 0.5)), row(task="b", delta=(2.0, 0.5))]
    (forest,) = forests(made(*rows))
    right, left = (centre(x.forest) for x in forest.lines)
    assert left < WIDTH / 2 < right
    assert left + right == pytest.approx(WIDTH)


def test_one_wide_interval_flattens_no_other_and_is_marked():
    rows = [row(task=f"t{i}", delta=(1.0 + i / 100, 0.2)) for i in range(9)]
    (plain,) = forests(made(*rows))
    (wide,) = forests(made(*rows, row(task="wide", delta=(5.0, 500.0))))
    assert not any("polygon" in x.forest for x in plain.lines)
    assert [x.task for x in wide.lines if "polygon" in x.forest] == ["wide"]
    assert centre(wide.lines[-1].forest) > 0.6 * WIDTH


def test_what_is_not_compared_is_named_with_its_reason():
    lost = row(task="lost", delta=(np.nan, 1.0), reason="no baseline trains it")
    (forest,) = forests(made(row(task="a", delta=(1.0, 0.5)), lost))
    assert [x.task for x in forest.lines] == ["a"]
    assert dict(forest.not_compared) == {"no baseline trains it": "lost"}
    assert forests(made(lost)) == []


def test_outcomes_go_by_the_margin_and_the_confidence_of_the_diagnosis():
    rows = [row(task="a", delta=(0.1, 0.5)), row(task="b", delta=(2.0, 1.9), delta_p=0.02)]
    for options, signs in (
        ({}, ["▲", "○"]),
        ({"margin": 3.0}, ["▲", "="]),
        ({"confidence": 0.99}, ["○", "○"]),
    ):
        diagnosis = made(*rows)
        chosen = replace(diagnosis.options, **options)
        (forest,) = forests(replace(diagnosis, options=chosen))
        assert [line.sign for line in forest.lines] == signs
    (few,) = forests(made(row(n=4, n_baseline=2, delta=(-2.0, 0.5)), row(delta=(-3.0, 0.5))))
    told = [(line.sign, line.meaning, line.n) for line in few.lines]
    assert told == [
        ("·", "descriptive only: too few runs for a test", "4 / 2"),
        ("▼", "lowered", "5 / 5"),
    ]


def test_each_split_has_a_table_that_names_all_its_baselines():
    rows = [
        row(task="a", delta=(1.0, 0.5)),
        row(task="b", delta=(0.5, 0.5), baseline="method=other"),
        row(task="c", delta=(2.0, 0.5), split="validation", setting=""),
        row(task="d", delta=(np.nan, 0.5)),
        row(task="e", delta=(np.nan, 0.5)),
    ]
    test, validation = forests(made(*rows))
    assert test.title == "digits: test accuracy against method=single, method=other"
    assert dict(test.not_compared) == {"no value": "d, e"}
    assert validation.title == "validation accuracy against method=single"


def test_each_metric_has_a_table_of_its_own():
    rows = [row(delta=(1.0, 0.5)), row(metric="loss", delta=(0.01, 0.02))]
    assert [x.title.split(" against")[0] for x in forests(made(*rows))] == [
        "digits: test accuracy",
        "digits: test loss",
    ]


@pytest.mark.parametrize(
    ("low", "high", "ends", "arrows"),
    [
        (-1.0, 2.0, (0.25, 1.0), 0),  # as far as the axis goes
        (-1.0, 2.01, (0.25, 1.0), 1),
        (-2.01, 1.0, (0.0, 0.75), 1),
        (-8.0, 8.0, (0.0, 1.0), 2),
        (np.nan, 1.0, None, 0),
        (-1.0, np.inf, None, 0),
    ],
)
def test_ends_stand_where_their_numbers_do_and_beyond_the_axis_is_an_arrow(low, high, ends, arrows):
    svg = str(_drawn(1.0, low, high, 2.0))
    assert centre(svg) == pytest.approx(0.75 * WIDTH, abs=0.1)
    found = re.search('class="interval" x1="([^"]*)" x2="([^"]*)"', svg)
    assert (found is None) == (ends is None)
    if ends:
        places = [float(found[1]) / WIDTH, float(found[2]) / WIDTH]
        assert places == pytest.approx(ends, abs=1e-3)
    tips = [float(x) for x in re.findall('points="([^,]*),', svg)]
    assert len(tips) == arrows
    assert all(0 < tip < WIDTH for tip in tips)
    sides = [tip < WIDTH / 2 for tip in tips]
    assert sides == [True] * int(low < -2) + [False] * int(2 < high < np.inf)


@pytest.mark.parametrize(
    ("ends", "edge"),
    [([1, 2, -4], 4), ([1, 1, -4], 3), ([1, np.nan, np.nan], 1), ([np.nan] * 3, 1 / 1.05)],
)
def test_the_axis_goes_to_the_end_or_thrice_the_median(ends, edge):
    table = pd.DataFrame([ends], columns=["delta", "delta_low", "delta_high"])
    assert _edge(table) == pytest.approx(1.05 * edge)
    nothing = pd.DataFrame([[0.0] * 3], columns=table.columns)
    assert _edge(nothing) == 1.0
