"""``trajlab view``: where it serves, to whom, and with which options."""

import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from tests.cli.conftest import Trajlab
from trajlab.analysis import diagnose
from trajlab.report.live import server, state


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What was served and opened, in the place of serving and opening it."""
    seen: dict[str, Any] = {"opened": []}

    def application(live: Any, token: str) -> Callable[..., None]:
        seen.update(live=live, token=token)
        return lambda *_: None

    def run(_: uvicorn.Server, sockets: Sequence[socket.socket]) -> None:
        (bound,) = sockets
        seen["at"] = bound.getsockname()
        raise KeyboardInterrupt  # as one ends it

    monkeypatch.setattr(state, "Live", lambda runs, settings: (runs, settings))
    monkeypatch.setattr(server, "application", application)
    monkeypatch.setattr(uvicorn.Server, "run", run)
    monkeypatch.setattr("webbrowser.open", seen["opened"].append)
    return seen


def test_the_runs_are_served_to_this_machine_with_the_options_of_a_diagnosis(
    trajlab: Trajlab, served: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, bind = [], socket.create_server
    monkeypatch.setattr(socket, "create_server", lambda place: asked.append(place) or bind(place))
    done = trajlab("view", tmp_path, "other", "--margin", 1.5, "--baseline", "method=STL")
    assert done.exit_code == 0
    assert asked == [("127.0.0.1", 0)]  # any free port
    host, port = served["at"]
    assert host == "127.0.0.1"
    address = f"http://127.0.0.1:{port}/?token={served['token']}"
    assert done.stdout.splitlines() == [address, "Only this machine can open it; Ctrl-C ends it."]
    assert len(served["token"]) == 32
    assert served["opened"] == [address]
    runs, settings = served["live"]
    assert runs == (str(tmp_path), "other")
    given = {"margin": 1.5, "baseline": {"method": "STL"}}
    assert settings == {**diagnose.__kwdefaults__, **given}


def test_a_port_is_taken_as_given_or_told_to_be_taken(
    trajlab: Trajlab, served: dict[str, Any], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = trajlab("view", tmp_path, "--no-browser", "--port", port)
        assert done.exit_code == 2
        assert re.search(rf"Port {port} is taken \(.+\); name another\.", done.stderr)
        assert "at" not in served
    tokens = set()
    for _ in range(2):
        assert trajlab("view", tmp_path, "--no-browser", "--port", port).exit_code == 0
        assert served["at"] == ("127.0.0.1", port)
        tokens.add(served["token"])
    assert len(tokens) == 2
    assert served["opened"] == []
