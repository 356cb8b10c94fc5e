"""What tells the series of a figure apart: names, colours, dashes and marks."""

from itertools import product

import pandas as pd
from matplotlib import pyplot as plt

from trajlab.plots.style import PALETTE, fitted, label, placed, plain, say, series


def table(*columns: list[str], names: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(product(*columns)), columns=list(names))


def test_a_group_has_one_colour_and_each_of_its_tasks_a_mark() -> None:
    tasks, keys = list("gfedcba"), ("setting", "task", "condition", "method")
    rows = table(tasks, ["+b", ""], ["m"], names=("task", "condition", "method"))
    rows = pd.concat([rows, rows]).assign(value=range(28))
    lines = list(series(rows, keys, ("condition", "method")))
    assert {tuple(line.rows) for line in lines} == {tuple(rows)}  # and no column of places
    assert [line.label for line in lines] == [
        name for task in tasks for name in (f"{task} · +b", task)
    ]
    groups = {"+b · m": 0, "m": 1}  # in the order of the names
    for line in lines:
        group = label(line.key, ("condition", "method"))
        again, place = tasks.index(line.key["task"]), groups[group]
        assert line.color == PALETTE[place]
        assert line.marker == "os^DvP"[(place + again) % 6]
        number = tasks.index(line.key["task"]) * 2 + place
        assert list(line.rows["value"]) == [number, number + 14]  # the index repeats
    dashes = [line.dash for line in lines]
    assert len(set(map(str, dashes[:12:2]))) == 1
    assert dashes[12] == dashes[1] != dashes[0]  # the seventh mark of a group repeats its first
    other = pd.DataFrame({"task": ["a", "a", "b"], "condition": ["+b", None, "+b"], "method": "m"})
    assert lines[-2].of(other).index.tolist() == [0]
    assert lines[-1].of(other).index.tolist() == [1]


def test_what_lacks_all_that_tells_others_apart_is_named_after_that() -> None:
    rows = table(["", "+b"], ["", "n"], ["m"], names=("condition", "note", "method"))
    keys, alone = ("setting", "condition", "method", "note"), ("condition", "method")
    labels = [line.label for line in series(rows, keys, alone)]
    assert labels == ["no condition · no note", "n", "+b", "+b · n"]
    assert [line.label for line in series(rows[:1], keys, alone)] == ["m"]
    assert [line.label for line in series(rows[:1], keys)] == [""]


def test_places_that_are_given_are_kept_and_others_stand_behind_them() -> None:
    assert placed(["c", "a", "b"], {"b": 3, "z": 5}) == {"b": 3, "z": 5, "a": 6, "c": 7}
    assert placed(["c", "a"]) == {"a": 0, "c": 1}
    rows = table(["t"], ["+b"], names=("task", "condition"))
    (line,) = series(rows, ("task", "condition"), ("condition",), {"+b": 9})
    assert (line.label, line.color, line.dash) == ("+b", PALETTE[1], (0, (10, 2)))
    assert line.marker == "D"


def test_names_are_shortened_in_the_middle_and_drawn_letter_by_letter() -> None:
    assert fitted("abcdefghijklmnopqrstuvwx") == "abcdefghijklmnopqrstuvwx"
    assert fitted("abcdefghijklmnopqrstuvwxy") == "abcdefghijk…opqrstuvwxy"
    assert fitted("abcdefgh", 7) == "abc…fgh"
    assert (plain("_a$b$"), plain("a_b")) == (r" _a\$b\$", "a_b")
    assert label({"a": "x", "b": "", "c": 0, "d": 1}, ("d", "a", "b", "c", "e")) == "1 · x"


def test_axes_that_have_nothing_to_show_say_so_without_ticks() -> None:
    ax = plt.subplots()[1]
    say(ax, "nothing")
    assert [ax.texts[0].get_text(), *ax.get_xticks(), *ax.get_yticks()] == ["nothing"]
    plt.close("all")
