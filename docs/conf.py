"""The site: ``make docs`` builds it; every warning is an error."""

from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import click

from trajlab.cli.main import main

project = "trajlab"
author = "The trajlab developers"
release = version = installed("trajlab")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "myst_nb",
    "sphinx_copybutton",
]
exclude_patterns = [
    "_build",
    "gallery",
    *(f"built/*.{kind}" for kind in ("ipynb", "py", "md5", "json", "zip")),
]
default_role = "code"  # docstrings have names in single backticks

templates_path = ["_templates"]
html_theme = "furo"
html_show_copyright = False
html_title = "trajlab"
html_static_path = ["_static"]
html_css_files = ["site.css"]

autodoc_typehints = "description"  # the docstrings tell what, the signatures which type
autodoc_member_order = "bysource"
autosummary_generate = True
napoleon_google_docstring = False
napoleon_use_ivar = True

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "built",
    "filename_pattern": "/",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,  # what a figure took is nobody's question
    "abort_on_example_error": True,
    "remove_config_comments": True,
}

copybutton_prompt_text = "$ "


def write_commands(app: Any) -> None:
    """Write the page of commands from their own help."""
    context = click.Context(main, info_name="trajlab", terminal_width=88)
    parts = ["# Commands", "Every command tells its options: `trajlab gap --help`."]
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command is not None
        own = click.Context(command, context, info_name=name, terminal_width=88)
        parts += [f"## trajlab {name}", f"```text\n{command.get_help(own)}\n```"]
        for sub in getattr(command, "commands", {}).values():
            help_ = sub.get_help(click.Context(sub, own, info_name=sub.name, terminal_width=88))
            parts += [f"### trajlab {name} {sub.name}", f"```text\n{help_}\n```"]
    Path(app.srcdir, "commands.md").write_text("\n\n".join(parts) + "\n")


def skip_fields(app: Any, what: str, name: str, item: Any, skip: bool, options: Any) -> bool | None:
    """Leave out the fields of a named tuple, which its docstring has told."""
    return True if (item.__doc__ or "").startswith("Alias for field number") else None


def setup(app: Any) -> None:
    """Have the page of commands written first."""
    app.connect("builder-inited", write_commands)
    app.connect("autodoc-skip-member", skip_fields)
