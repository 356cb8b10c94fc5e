"""Command-line options from a function's signature and docstring."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from inspect import Parameter, signature
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click
from docstring_parser import DocstringStyle, parse

# No DataFrame can be typed in a shell; pandas takes too long to load for the name of one.
_TABLES = SimpleNamespace(DataFrame=Any)
_AS_IN = re.compile(r"As in :func:`([\w.]+)\.(\w+)`\.")


def options(
    function: Callable[..., Any], *, without: Collection[str] = ()
) -> list[click.Parameter]:
    """Derive one option a parameter of a function.

    ``Literal`` becomes a choice, ``bool`` a flag, ``Mapping`` a repeatable ``KEY=VALUE``,
    ``Sequence`` a repeatable option; the help is the numpydoc text of the parameter, looked up in
    another function where all it says is "As in :func:`package.function`."

    Parameters
    ----------
    function
        Its parameters are annotated with plain types.
    without
        Names of the parameters to leave out.

    Returns
    -------
    list of click.Parameter
        In the order of the signature.
    """
    helps = _helps(function)
    types = get_type_hints(function, localns={"pd": _TABLES})
    return [
        _option(parameter, types[name], helps.get(name, ""))
        for name, parameter in signature(function).parameters.items()
        if name not in without
    ]


def _helps(function: Callable[..., Any]) -> dict[str, str]:
    sections = parse(function.__doc__ or "", style=DocstringStyle.NUMPYDOC)
    helps = {}
    for section in sections.params:
        said = " ".join((section.description or "").split())
        other = _AS_IN.fullmatch(said)
        elsewhere = _helps(resolve_name(f"{other[1]}:{other[2]}")) if other else {}
        for name in (part.strip(" *") for part in section.arg_name.split(",")):
            helps[name] = elsewhere[name] if other else said.replace("`", "")
    return helps


def _option(parameter: Parameter, annotation: Any, help_text: str) -> click.Option:
    kind = _plain(annotation)
    made: dict[str, Any] = {"help": help_text}
    if parameter.default is Parameter.empty:
        made["required"] = True
    elif parameter.default is not None:
        made |= {"default": parameter.default, "show_default": True}
    match get_origin(kind) or kind:
        case t if t is bool:
            made["is_flag"] = True
        case t if t is Literal:
            made["type"] = click.Choice(get_args(kind))
        case t if t is Mapping:
            made |= {"multiple": True, "metavar": "KEY=VALUE", "callback": _mapping}
            if "default" in made:
                made["default"] = [f"{key}={value}" for key, value in parameter.default.items()]
        case t if t is Sequence:
            made |= {"type": get_args(kind)[0], "multiple": True}
        case t:
            made["type"] = t
    return click.Option([parameter.name, "--" + parameter.name.replace("_", "-")], **made)


def _plain(annotation: Any) -> Any:
    """Take the first kind of a union: no option given is None, and a path is typed as text."""
    return get_args(annotation)[0] if get_origin(annotation) in (Union, UnionType) else annotation


def _mapping(
    ctx: click.Context, param: click.Parameter, texts: Sequence[str]
) -> dict[str, str] | None:
    pairs = [text.partition("=") for text in texts]
    for text, (key, equals, _) in zip(texts, pairs, strict=True):
        if not (key and equals):
            raise click.BadParameter(f"{text!r} is not of the form KEY=VALUE.")
        if sum(key == other for other, _, _ in pairs) > 1:
            raise click.BadParameter(f"{key!r} is given twice.")
    return {key: value for key, _, value in pairs} or None


def _remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta["trajlab.debug"] = value


def _drawable(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    if path and path.suffix not in (".png", ".svg", ".pdf"):
        raise click.BadParameter(f"{path} must end in .png, .svg or .pdf.")
    return path


def without_use(function: Callable[..., Any]) -> list[click.Option]:
    """Return the options that every analysis command accepts and this one has no use for.

    Parameters
    ----------
    function
        The analysis.
    """
    taken = signature(function).parameters
    return [
        click.Option([f"--{name}"], type=kind, expose_value=False, help=f"No effect: {why}.")
        for name, (kind, why) in _STANDARD.items()
        if name not in taken
    ]


_STANDARD: Mapping[str, tuple[type, str]] = {
    "confidence": (float, "this analysis gives no intervals"),
    "seed": (int, "this analysis draws no random numbers"),
}
_FILE = click.Path(path_type=Path)

JSON = click.Option(["as_json", "--json"], is_flag=True, help="Print all tables as JSON.")
CSV = click.Option(["csv", "--csv"], type=_FILE, metavar="FILE", help="Write the main table.")
FIGURE = click.Option(
    ["figure", "--figure"],
    type=_FILE,
    metavar="FILE",
    callback=_drawable,
    help="Draw the figure: .png, .svg or .pdf.",
)
WIDTH = click.Option(
    ["width", "--width"],
    type=click.FloatRange(min=2),
    metavar="INCHES",
    help="Width of the figure, such as 3.3 for a column of a paper: text as it is printed there.",
)
FORCE = click.Option(["force", "--force"], is_flag=True, help="Replace files that exist.")
DEBUG = click.Option(
    ["--debug"],
    is_flag=True,
    expose_value=False,
    callback=_remember,
    help="Show the traceback when something goes wrong.",
)
