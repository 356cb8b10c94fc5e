"""What `trajlab` itself offers, which loads on first use."""

import pytest

import trajlab
from trajlab.errors import TrajlabError
from trajlab.record import Recorder
from trajlab.store import Runs, Trajectory, load


def test_every_public_name_is_what_its_home_calls_so() -> None:
    offered = {name: getattr(trajlab, name) for name in trajlab.__all__}
    classes = {"Recorder": Recorder, "Runs": Runs, "Trajectory": Trajectory}
    assert {name: offered[name] for name in classes} == classes
    assert (trajlab.load, trajlab.TrajlabError) == (load, TrajlabError)
    packages = {name: each.__name__ for name, each in offered.items() if hasattr(each, "__path__")}
    assert packages == {
        "analysis": "trajlab.analysis",
        "datasets": "trajlab.datasets",
        "plots": "trajlab.plots",
        "probes": "trajlab.record.probes",
    }
    assert {*packages, *classes, "load", "TrajlabError"} == {*trajlab.__all__}
    assert {*trajlab.__all__} <= {*dir(trajlab)}


def test_a_name_that_is_not_offered_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="record_everything"):
        trajlab.record_everything  # noqa: B018
