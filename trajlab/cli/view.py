"""``trajlab view``."""

import contextlib
import secrets
import socket
import webbrowser
from typing import Any

import click

from trajlab.analysis import diagnose
from trajlab.cli.options import DEBUG, options
from trajlab.cli.runs import RUNS
from trajlab.report.live.state import Live

PORT = click.Option(
    ["--port"],
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any free one",
    help="Port of this machine.",
)
NO_BROWSER = click.Option(["--no-browser"], is_flag=True, help="Only print the address.")


def _run(runs: tuple[str, ...], port: int, no_browser: bool, **settings: Any) -> None:
    import uvicorn

    from trajlab.report.live.server import HOST, application

    token = secrets.token_urlsafe(24)
    with contextlib.closing(_bound(HOST, port)) as bound:
        address = f"http://{HOST}:{bound.getsockname()[1]}/?token={token}"
        click.echo(f"{address}\nOnly this machine can open it; Ctrl-C ends it.")
        if not no_browser:
            webbrowser.open(address)
        config = uvicorn.Config(application(Live(runs, settings), token), log_level="warning")
        with contextlib.suppress(KeyboardInterrupt):  # is how it ends
            uvicorn.Server(config).run(sockets=[bound])


def _bound(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise click.UsageError(f"Port {port} is taken ({error.strerror}); name another.") from error


command = click.Command(
    "view",
    callback=_run,
    params=[RUNS, PORT, NO_BROWSER, *options(diagnose, without={"runs"}), DEBUG],
    help="Show the page of a diagnosis in the browser, and keep it up to date while runs train.",
)
