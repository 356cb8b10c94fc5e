"""What is loaded to answer: the time it takes is of the machine, the list of modules is not."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "pandas", "scipy", "matplotlib", "seaborn", "statsmodels", "h5py")

WALK = """
import contextlib, io, sys
import click
from trajlab.cli.main import main

def shown(command, path):
    with contextlib.redirect_stdout(io.StringIO()):
        main([*path, "--help"], standalone_mode=False)
    return [(path, [name for name in {heavy} if name in sys.modules])]

def walk(command, path):
    found = shown(command, path)
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            found += walk(command.get_command(click.Context(command), name), [*path, name])
    return found

print(walk(main, []))
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_no_command_loads_a_heavy_library_to_show_its_help() -> None:
    found = eval(run(WALK.format(heavy=HEAVY)))
    assert {"gap", "study run", "import csv"} <= {" ".join(path) for path, _ in found}
    assert [(path, loaded) for path, loaded in found if loaded] == []


@pytest.mark.parametrize("statement", ["import trajlab", "import trajlab.analysis"])
def test_nothing_heavy_is_loaded_before_it_is_used(statement: str) -> None:
    code = f"import sys; {statement}; print([m for m in {HEAVY} if m in sys.modules])"
    assert run(code) == "[]\n"


@pytest.mark.parametrize("name", ["info", "gap", "conflict"])
def test_a_look_at_runs_loads_neither_torch_nor_scipy_stats(name, quick) -> None:
    code = (
        "import sys; from trajlab.cli.main import main; "
        f"main([{name!r}, {str(quick)!r}, '--json'], standalone_mode=False); "
        "print([m for m in ('torch', 'scipy.stats', 'scipy.optimize', 'statsmodels', 'matplotlib')"
        " if m in sys.modules])"
    )
    assert run(code).endswith("}\n[]\n")
