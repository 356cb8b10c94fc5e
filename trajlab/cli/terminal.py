"""What commands print: nothing in it, whoever wrote the names, is obeyed by a terminal."""

import click
from rich.text import Text

from trajlab.escapes import inert


def echo(text: str, *, err: bool = False) -> None:
    """Print a line."""
    click.echo(inert(text), err=err)


def words(text: str, style: str = "") -> Text:
    """Return text for a console of rich, which lets escape sequences through."""
    return Text(inert(text), style)
