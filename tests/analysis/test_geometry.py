"""The geometry of weight paths against closed forms."""

import numpy as np
import pytest

from trajlab import plots
from trajlab.analysis import geometry
from trajlab.analysis.geometry import distance_over_time, principal_components
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, Writer
from trajlab.store.schema import Column, Table, standard


def write(path, sketch, steps=None, *, sketch_seed=0, **metadata):
    writer = Writer(path, ["left"], metadata={"setting": "s", **metadata})
    table = standard("parameters", k=list(range(sketch.shape[1])))
    writer.declare(type(table)(table.name, table.columns, table.coordinates, {"seed": sketch_seed}))
    for step, row in zip(steps if steps is not None else range(len(sketch)), sketch, strict=True):
        writer.append("parameters", {"step": int(step), "sketch": row.astype("float32")})
    writer.close()
    return Trajectory(path)


def test_a_plane_is_found_with_its_shares():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(40, 2)) * [3, 1]
    flat -= flat.mean(axis=0)
    axes = np.linalg.qr(rng.normal(size=(9, 2)))[0]
    scores, shares = principal_components([flat[:15] @ axes.T + 7, flat[15:] @ axes.T + 7], 3)
    variance = np.sort(np.linalg.eigvalsh(flat.T @ flat))[::-1]
    assert shares[:2] == pytest.approx(variance / variance.sum())
    assert shares[2] == pytest.approx(0, abs=1e-12)
    assert [len(score) for score in scores] == [15, 25]
    joined = np.concatenate(scores)
    gaps = np.linalg.norm(joined[:, None] - joined[None], axis=-1)
    assert gaps == pytest.approx(np.linalg.norm(flat[:, None] - flat[None], axis=-1), abs=1e-9)
    assert np.isnan(principal_components([np.ones((3, 2))])[1]).all()


def test_distance_is_read_at_common_steps():
    steps, apart = distance_over_time(
        np.array([0, 2, 4]),
        np.zeros((3, 2)),
        np.array([2, 3, 4]),
        np.array([[3, 4], [0, 0], [0, 1]]),
    )
    assert steps.tolist() == [2, 4]
    assert apart.tolist() == [5, 1]


def test_runs_give_paths_and_distances(tmp_path):
    line = np.outer(np.arange(5.0), [3, 4, 0])
    a = write(tmp_path / "a.h5", line, method="single", seed=0)
    b = write(tmp_path / "b.h5", line + np.array([0, 0, 2]), method="multi", seed=0)
    c = write(tmp_path / "c.h5", line, np.arange(5) + 9, method="multi", seed=1)
    result = geometry([a, b, c])
    assert result.projection.groupby("run").size().tolist() == [5, 5, 5]
    pair = result.distance[result.distance["other_run"] == str(b.path)]
    assert pair["distance"].to_numpy() == pytest.approx(2)
    assert pair["step"].tolist() == [0, 1, 2, 3, 4]
    apart = result.distance[result.distance["reason"] != ""]
    assert apart["distance"].isna().all()
    assert result.explained["explained"].sum() == pytest.approx(1)
    axes = plots.geometry(result)
    assert "of the variance" in axes.get_xlabel()
    assert len(geometry([a]).distance) == 0
    plots.geometry(geometry([a], components=1))


def test_every_table_names_what_its_rows_are_of(tmp_path):
    """Two settings, whose components are their own; pairs are named by what both have in common."""
    rng = np.random.default_rng(2)
    paths = rng.normal(size=(5, 4, 3)).round(2)
    paths[3] *= 100
    paths[1, 2] = np.nan  # at one step
    heads = [("s", "x", "one"), ("s", "x", "two"), ("s", "y", "two"), ("t", "x", "one")]
    runs = []
    for i, (setting, condition, method) in enumerate([*heads, heads[3]]):
        names = {"setting": setting, "condition": condition, "method": method}
        steps = range(i, i + 4) if setting == "s" else (0, 1, 2, 3 * i)
        runs.append(write(tmp_path / f"{i}.h5", paths[i], steps, seed=i, **names))
    result = geometry(runs, components=1)
    names = ["setting", "condition", "method", "n_runs"]
    expected = [name for i, own in enumerate([*heads, heads[3]]) for name in [own] * (4 - (i == 1))]
    assert list(map(tuple, result.projection[names[:3]].to_numpy())) == expected
    assert (result.projection["n_runs"] == 1).all()
    known = [paths[i][np.isfinite(paths[i]).all(axis=1)] for i in range(5)]
    for setting, members in (("s", (0, 1, 2)), ("t", (3, 4))):
        own = result.projection[result.projection["setting"] == setting]
        points = np.concatenate([known[i] for i in members]).astype("float32").astype(float)
        scores, shares = principal_components([points], 1)
        assert own["component_1"].to_numpy() == pytest.approx(scores[0][:, 0])
        assert own["component_1"].abs().max() == own["component_1"].max()
        centred = points - points.mean(axis=0)
        sizes = np.linalg.eigvalsh(centred.T @ centred)
        assert shares[0] == pytest.approx(sizes[-1] / sizes.sum())
        explained = result.explained[result.explained["setting"] == setting]
        assert explained["n_runs"].tolist() == [len(members)]
        assert explained["component"].tolist() == [1]
        assert explained["explained"].tolist() == pytest.approx(shares)
    assert "component_2" not in result.projection
    assert (result.explained[["condition", "method", "reason"]] == "").all(axis=None)
    pairs = {(0, 1): (1, 2), (0, 2): (2, 3), (1, 2): (2, 4), (3, 4): (0, 1, 2)}
    common = {(0, 1): ("s", "x", ""), (0, 2): ("s", "", ""), (1, 2): ("s", "", "two")}
    rows = iter(result.distance.to_dict("records"))
    for (one, two), steps in pairs.items():
        for step in steps:
            row = next(rows)
            assert (row["run"], row["other_run"]) == (str(runs[one].path), str(runs[two].path))
            key = common.get((one, two), heads[3])
            assert tuple(row[name] for name in names) == (*key, 2)
            places = [step - i if i < 3 else step for i in (one, two)]
            apart = paths[one][places[0]] - paths[two][places[1]]
            assert row["step"] == step
            assert row["distance"] == pytest.approx(np.linalg.norm(apart), rel=1e-5)
            assert row["reason"] == ""
    assert next(rows, None) is None


def test_weights_of_the_table_of_sketches_are_read(tmp_path):
    writer = Writer(tmp_path / "a.h5", ["left"])
    column = Column("weights", ("step", "k"), "float32")
    writer.declare(Table("sketches", (column,), {"k": [0, 1]}, {"size": 2, "seed": 0}))
    for step in range(3):
        writer.append("sketches", {"step": step, "weights": np.array([step, -step], "float32")})
    writer.close()
    found = geometry([Trajectory(tmp_path / "a.h5")])
    line = found.projection["component_1"].to_numpy()
    assert np.diff(line) == pytest.approx(np.sign(line[-1]) * np.full(2, np.sqrt(2)))


def test_sketches_that_differ_are_refused(tmp_path):
    a = write(tmp_path / "a.h5", np.eye(3), seed=0)
    b = write(tmp_path / "b.h5", np.eye(3), seed=1, sketch_seed=1)
    with pytest.raises(TrajlabError, match=r"sketched differently \(seed\)"):
        geometry([a, b])
    wide = write(tmp_path / "c.h5", np.eye(4), seed=2)
    with pytest.raises(TrajlabError, match="numbers"):
        geometry([a, wide])
    nan = write(tmp_path / "d.h5", np.full((2, 3), np.nan), seed=3)
    with pytest.raises(TrajlabError, match=r"d\.h5 holds no finite sketch"):
        geometry([a, nan])
    with pytest.raises(TrajlabError, match="at least 1"):
        geometry([a], components=0)


def test_runs_without_sketches_are_told(make_run):
    with pytest.raises(TrajlabError, match="no complete run recorded sketches"):
        geometry([make_run({"train": {"loss": [1.0]}})])
