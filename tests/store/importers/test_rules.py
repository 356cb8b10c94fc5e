"""Rules that every importer's numbers go through, just on each side of each."""

import math
import re

import numpy as np
import pytest

from trajlab.errors import TrajlabError
from trajlab.store.importers.gathered import Gathered
from trajlab.store.importers.identity import Identity
from trajlab.store.importers.imported import ImportedRun, file_name
from trajlab.store.importers.joining import joined
from trajlab.store.importers.lightning import hyperparameters, updates_completed
from trajlab.store.importers.logged import LoggedRun
from trajlab.store.importers.naming import NamePattern
from trajlab.store.importers.places import Place, Placed, is_place, place, wizard
from trajlab.store.importers.rows import Rows, by_step_of, numbers
from trajlab.store.importers.sentences import some, tell_notes
from trajlab.store.importers.tables import placed_in, tables_of
from trajlab.store.importers.writing import write_runs
from trajlab.store.trajectory import Trajectory


def test_of_two_values_at_a_step_the_later_is_kept_and_of_a_clock_the_first():
    rows = Rows()
    for step, value, time in ((2, 1.0, 130.0), (2, 1.0, 120.0), (0, math.nan, 110.0)):
        rows.add("loss", step, value, time)
    rows.add("loss", 0, math.nan)  # as it was: not another value
    rows.add("loss", 2, 3.0, 150.0)
    rows.add("loss", 2, 4.0)
    for epoch in (1.0, 2.0):
        rows.add("epoch", 2, epoch, 10.0)
    for step in (-1, True, 1.0, None, "1"):
        rows.add("loss", step, 5.0, 0.0)
    run = rows.run("one", {"seed": 1}, ["read so"])
    assert run.series == {
        "loss": {2: 4.0, 0: pytest.approx(math.nan, nan_ok=True)},
        "epoch": {2: 1.0},
        "wall_time": {2: 10.0, 0: 0.0},  # to the first number of a step; clocks have no time
    }
    assert run.twice == {"loss": 2}
    assert run.notes == ["read so", "5 of its numbers have no step and are left out"]
    rows.add("wall_time", 2, 7.0)
    assert rows.run("one", {}).series["wall_time"] == {2: 7.0}
    assert Rows().run("none", {}).notes == []


def test_numbers_in_mappings_have_names_of_their_own():
    value = {"a": 1, "b": {"c": 0.5, "d": "text"}, "e": True, "f": {"_type": "image", "x": 3}}
    assert list(numbers("top", value)) == [("top/a", 1.0), ("top/b/c", 0.5)]


def test_steps_are_counted_by_a_series_of_the_run():
    series = {"count": {0: 10.0, 1: 20.0, 3: 0.0}, "loss": {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0}}
    counted = by_step_of(LoggedRun("one", {"seed": 1}, series, ["read so"]), "count")
    assert counted.series == {"loss": {10: 1.0, 20: 2.0, 0: 4.0}}
    assert counted.metadata == {"seed": 1}
    assert counted.notes == [
        "read so",
        "1 values stand in rows without 'count' and are left out",
    ]
    for wrong in (-1.0, 0.5, math.nan, math.inf):
        with pytest.raises(TrajlabError, match=rf"has step {wrong} in 'count', where whole num"):
            by_step_of(LoggedRun("one", {}, {"count": {0: 1.0, 1: wrong}}), "count")


EPOCHS = {0: 0.0, 4: 0.0, 5: 1.0, 9: 1.0}


@pytest.mark.parametrize(
    ("series", "steps"),
    [
        ({"loss": {0: 1.0, 1: 1.0, 9: 1.0}}, {"loss": [1, 2, 10]}),
        ({"val": {0: 1.0, 4: 1.0, 9: 1.0}}, {"val": [0, 5, 10]}),  # once before the first batch
        ({"val": {0: 1.0}}, {"val": [1]}),
        ({"val": {4: 1.0, 9: 1.0}, "test_loss": {10: 1.0}}, {"val": [5, 10], "test_loss": [10]}),
        # in an epoch of its own: validated after the last batch
        ({"epoch": {**EPOCHS, 10: 2.0}, "val": {9: 1.0, 10: 1.0}}, {"val": [10]}),
        ({"epoch": {**EPOCHS, 11: 2.0}, "val": {9: 1.0, 11: 1.0}}, {"val": [10, 12]}),
        ({"epoch": {**EPOCHS, 10: 1.0}, "val": {9: 1.0, 10: 1.0}}, {"val": [10, 11]}),
        ({"epoch": {**EPOCHS, 10: 2.0, 11: 2.0}, "val": {10: 1.0}}, {"val": [11]}),
        # where each epoch is one batch, the last is one of them
        ({"epoch": {0: 0.0, 1: 1.0, 2: 2.0}, "val": {2: 1.0}}, {"val": [3]}),
        ({"epoch": {0: 0.0, 1: 0.0, 2: 1.0}, "val": {2: 1.0}}, {"val": [2]}),
        ({"epoch": {0: 0.0, 1: 1.0}, "val": {1: 1.0}}, {"val": [2]}),
    ],
)
def test_lightnings_steps_are_updates_completed(series, steps):
    made = updates_completed(series)
    assert {name: list(made[name]) for name in steps} == steps


def test_hyperparameters_are_the_texts_of_the_first_level(tmp_path):
    file = tmp_path / "hparams.yaml"
    assert hyperparameters(file) == {}
    for content, read in (
        (" \n", {}),
        ("seed: 010\nname: yes\nmore:\n  a: 1\nmany: [1]\n", {"seed": "010", "name": "yes"}),
        ("- 1\n", "hparams.yaml holds no names and values"),
        ("a: [\n", "hparams.yaml is not YAML: while parsing"),
    ):
        file.write_text(content)
        if isinstance(read, str):
            with pytest.raises(TrajlabError, match=read):
                hyperparameters(file)
        else:
            assert hyperparameters(file) == read


@pytest.mark.parametrize(
    ("pattern", "name", "read"),
    [
        ("{a}", "x", ({"a": "x"}, {}, "x")),
        ("{a}", "", None),
        ("{a}-[b]", "x-y", ({"a": "x"}, {"b": "y"}, "x-")),
        ("{a}-[b]", "x-", None),
        ("{a}-[b]", "-y", None),
        ("[b]/{a}", "y/x", ({"a": "x"}, {"b": "y"}, "x")),
        ("run{a}.end", "run1.end", ({"a": "1"}, {}, "run1.end")),
        ("run{a}.end", "run.end", None),
        ("run{a}.end", "ran1.end", None),
        ("run{a}.end", "run1.out", None),
        ("plain/{a}", "plain/x", ({"a": "x"}, {}, "plain/x")),
        ("plain/{a}", "other/x", None),
        ("{a}", "x/y", None),
    ],
)
def test_a_name_is_read_field_by_field(pattern, name, read):
    assert NamePattern(pattern).match(name) == read


@pytest.mark.parametrize(
    ("key", "where"),
    [
        ("train/left/loss", Place("evaluations/train", "loss", "left")),
        ("test/{t}/f1", Place("evaluations/test", "f1", "a/b")),
        ("losses/left", Place("losses", "loss", "left")),
        ("sharpness/left", Place("sharpness", "value", "left")),
        ("gradient_covariance/left", Place("noise", "covariance_trace", "left")),
        ("fisher/{t}", Place("fisher", "trace", "a/b")),
        ("similarity/left", Place("similarity", "cosine_to_update", "left")),
        ("similarity/left/right", Place("similarity", "cosine", "left", "right")),
        ("tokens", Place("", "tokens")),
        ("similarity/left/left", "similarity of left to itself; name a pair"),
        ("similarity/{t}/{t}", "similarity of a/b to itself"),
        ("test/{u}/f1", r"needs \{u\}, which is no column and not in --name; there is t"),
        ("dev/left/loss", "is nothing to map to"),
        ("train/left", "is nothing to map to"),
        ("train/left/loss/more", "is nothing to map to"),
        ("train//loss", "is nothing to map to"),
        ("losses/left/more", "is nothing to map to"),
        ("similarity/a/b/c", "is nothing to map to"),
        ("tokens/left", "is nothing to map to"),
        ("{t}/left/loss", "'a/b/left/loss' is nothing to map to"),
    ],
)
def test_a_key_names_a_place(key, where):
    if isinstance(where, str):
        with pytest.raises(TrajlabError, match=where):
            place(key, {"t": "a/b"})
    else:
        assert place(key, {"t": "a/b"}) == where
    assert is_place(key) or "{" in key or isinstance(where, str)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (["loss"], "found 'loss'; name each one, for example --map train/TASK/loss='loss'"),
        (["val_loss", "loss"], "found 'val_loss', 'loss'; name each .* train/TASK/loss='loss'$"),
        (["val_loss"], "--map validation/TASK/loss='val_loss'$"),
        (["a", "epoch", "test_f1"], "train/TASK/loss='a' --map test/TASK/METRIC='test_f1'$"),
        ([], "found none; name each one, for example --map train/TASK/loss='SERIES'$"),
        ([f"s{i}" for i in range(40)], "'s39'; name"),
        ([f"s{i}" for i in range(41)], "'s39', …; name"),
    ],
)
def test_the_wizard_says_what_there_is_and_maps_one(found, said):
    assert re.search(said, wizard(found))


def test_warnings_name_three_runs_and_say_what_many_share_once(recwarn):
    assert some(["a"]) == "the run 'a'"
    assert some(["a", "b", "c"]) == "3 runs ('a', 'b', 'c')"
    assert some(["a", "b", "c", "d"]) == "4 runs ('a', 'b', 'c', …)"
    runs = [LoggedRun(n, {}, {}, ["so"], twice={"loss": 1 + (n == "b"), "x": 1}) for n in "abb"]
    tell_notes(runs, {"loss"})
    again = "logged again with another value, of which the last is kept"
    assert [str(each.message) for each in recwarn] == [
        "2 runs ('a', 'b'): so",
        f"the run 'a': 'loss' has 1 step {again}",
        f"the run 'b': 'loss' has 2 steps {again}",
    ]


def test_parts_of_a_run_are_put_together_where_they_do_not_contradict(recwarn):
    run = Gathered(Identity("one", {}, {}, {}))
    loss, epoch = Place("losses", "loss", "left"), Place("", "epoch")
    run.put(loss, "a", {0: 1.0, 2: 2.0})
    run.put(loss, "b", {1: 3.0})
    run.put(epoch, "e", {0: 0.0, 1: 1.0})
    run.put(epoch, "f", {1: 1.0, 2: 2.0})  # the parts have their clock in common
    run.put(Place("losses", "loss", "right"), "c", None)
    with pytest.raises(TrajlabError, match="'one' has two series for losses/loss/left at step 1"):
        run.put(loss, "d", {3: 1.0, 2: 2.0, 1: 3.0})
    with pytest.raises(TrajlabError, match=r"series for epoch at step 2, 'f' and 'g'; tell them"):
        run.put(epoch, "g", {1: 1.0, 2: 3.0})
    assert run.tasks == ["left"]
    assert run.lacking == [("c", "right")]
    run.carry({"epoch": {0: 9.0}, "tokens": {0: 5.0, 1: 6.0}, "flops": {0: 1.0, 1: 2.0}})
    run.carry({"tokens": {1: 6.0, 2: 7.0}, "flops": {1: 3.0}})
    assert run.with_clocks() == {
        loss: Placed("b", {0: 1.0, 2: 2.0, 1: 3.0}),
        epoch: Placed("f", {0: 0.0, 1: 1.0, 2: 2.0}),
        Place("", "tokens"): Placed("tokens", {0: 5.0, 1: 6.0, 2: 7.0}),
    }
    (told,) = recwarn
    assert str(told.message) == "the parts of the run 'one' differ in 'flops', which is left out"


PLACED = {
    Place("evaluations/test", "f1", "left"): Placed("lf", {0: 0.5, 4: 0.75}),
    Place("evaluations/test", "err", "right"): Placed("re", {4: 0.25}),
    Place("similarity", "cosine", "left", "right"): Placed("lr", {4: -0.5}),
    Place("sharpness", "value", "right"): Placed("sr", {2: 3.0}),
    Place("", "epoch"): Placed("e", {0: 0.0, 2: 1.0}),
    Place("", "tokens"): Placed("t", {4: 0.5}),
}


def test_places_become_tables_and_come_back(tmp_path):
    told = {}
    for table, rows in tables_of(PLACED, ["left", "right"], ["err"]):
        told[table.name] = table, rows
    evaluations, rows = told["evaluations/test"]
    assert [row["step"] for row in rows] == [0, 4]
    nan = math.nan
    np.testing.assert_equal([row["f1"].tolist() for row in rows], [[0.5, nan], [0.75, nan]])
    np.testing.assert_equal([row["err"].tolist() for row in rows], [[nan, nan], [nan, 0.25]])
    assert [row["epoch"] for row in rows] == [0, -1]
    np.testing.assert_equal([row["tokens"] for row in rows], [nan, 0.5])
    kinds = {c.name: (c.dtype, c.attributes.get("higher_is_better")) for c in evaluations.columns}
    assert kinds["f1"] == ("float64", True)
    assert kinds["err"] == ("float64", False)
    assert (kinds["epoch"][0], kinds["tokens"][0]) == ("int64", "float64")
    cosine = told["similarity"][1][0]["cosine"]
    np.testing.assert_equal(cosine, [[nan, -0.5], [-0.5, nan]])
    np.testing.assert_equal(told["sharpness"][1][0]["value"], [[nan], [3.0]])
    (path,) = write_runs("x", tmp_path, {"a.h5": ImportedRun({}, PLACED)}, ["err"], False)
    back = placed_in(Trajectory(path))
    for where, item in PLACED.items():
        values = {k: v for k, v in back[where].values.items() if not math.isnan(v)}
        assert values == item.values, where
        assert back[where].series == item.series
    half = {**PLACED, Place("", "epoch"): Placed("e", {0: 0.5})}
    ((table, _), *_) = tables_of(half, ["left", "right"], [])
    assert table.column("epoch").dtype == "float64"


@pytest.mark.parametrize(
    ("metadata", "more", "why"),
    [
        ({"seed": 1}, {Place("losses", "loss", "right"): {0: 2.0}}, None),
        ({"seed": 1}, {Place("", "epoch"): {4: 2.0, 5: 3.0}}, None),
        ({"seed": 1}, {Place("", "epoch"): {4: 1.0}}, "it has epoch"),
        ({"seed": 1}, {Place("losses", "loss", "left"): {9: 2.0}}, "it has losses loss"),
        ({"seed": 2}, {}, "its metadata are seed=1, not seed=2"),
        ({}, {}, "its metadata are seed=1, not none"),
        ({"seed": 1}, {Place("fisher", "trace", "top"): {0: 1.0}}, "it is of left, right, not top"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_is_added_to_a_file_is_of_the_same_run_and_new(tmp_path, metadata, more, why, force):
    epoch = Place("", "epoch")
    first = {
        Place("fisher", "trace", task): Placed("f", {4: 1.0, 6: 1.0}) for task in ("left", "right")
    }
    if why == "it has losses loss":
        first[Place("losses", "loss", "right")] = Placed("l", {4: 1.0})
    first[epoch] = Placed("e", {4: 2.0})
    (path,) = write_runs("x", tmp_path, {"a.h5": ImportedRun({"seed": 1}, first)}, [], False)
    run = ImportedRun(metadata, {w: Placed("n", v) for w, v in more.items()})
    if force or not why:
        made = joined(path, run, force)
        assert (made is run) == force
        if not force and epoch in more:
            assert made.placed[epoch].values == {4: 2.0, 5: 3.0}
        if not force:
            assert made.placed.keys() == {*first, *more}
    else:
        with pytest.raises(TrajlabError, match=rf"a.h5 exists; use force .* \({why}\)"):
            joined(path, run, force)


def test_files_are_named_by_what_tells_runs_apart():
    taken = []
    for metadata, name in (
        ({"method": "STL", "seed": 0}, "STL-seed0.h5"),
        ({"method": "STL", "seed": 0}, "STL-seed0-2.h5"),
        ({"method": "STL", "seed": 0}, "STL-seed0-3.h5"),
        ({"method": "a b/c", "rate": 0.5}, "a_b_c-rate0.5.h5"),
    ):
        assert file_name(metadata, taken) == name
        taken.append(name)
