"""Names that a terminal, a spreadsheet, a browser or matplotlib would obey."""

import csv
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Trajlab
from trajlab.cli.main import _HELP
from trajlab.store import Table, Writer, standard
from trajlab.store.table import Column

CLEAR = "\x1b[2J"
TASKS = [f"=1+1{CLEAR}", r"$\frac{", "_$x_y$"]
LAYERS = [f"@sum{CLEAR}", "$a^b$"]
METHODS = [f"-cmd{CLEAR}$m_1$", "_plain$"]


def record(path: Path, method: str, seed: int, *, close: bool = True) -> None:
    noise = np.random.default_rng(seed)
    metadata = {"setting": f"$s_1${CLEAR}", "method": method, "seed": seed, f"+key{CLEAR}": CLEAR}
    writer = Writer(path, TASKS, metadata=metadata)
    score = Column("acc$u_r$", ("step", "task"), attributes={"higher_is_better": True})
    for split in ("train", "test", "validation"):
        table = standard(f"evaluations/{split}", task=TASKS)
        writer.declare(table.joined(Table(table.name, (score,), {"task": TASKS}, kind=table.kind)))
    for name, axes in (
        ("losses", {}),
        ("gradients", {"layer": LAYERS}),
        ("hessian", {}),
        ("fisher", {}),
        ("parameters", {"k": list(range(4))}),
    ):
        writer.declare(standard(name, task=TASKS, **axes))
    for step in range(1, 9):
        loss = 2.0**-step * (1 + 0.1 * noise.random(3))
        writer.append("losses", {"step": step, "loss": loss, "weight": loss})
        for split in ("train", "test", "validation"):
            row = {"step": step, "loss": loss, score.name: 1 - loss}
            writer.append(f"evaluations/{split}", row)
        vectors = noise.normal(size=(2, 3, 5))
        writer.append("gradients", {"step": step, "gram": vectors @ vectors.transpose(0, 2, 1)})
        writer.append("hessian", {"step": step, "top": loss, "reason": [CLEAR] * 3})
        writer.append("fisher", {"step": step, "trace": loss})
        writer.append("parameters", {"step": step, "sketch": noise.normal(size=4)})
    writer.flush()
    if close:
        writer.close()
    else:
        writer._lock.release()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    for number, method in enumerate(METHODS):
        for seed in range(3):
            record(folder / f"{number}{seed}.h5", method, seed)
    return folder


ON_BASELINE = ("--baseline", f"method={METHODS[0]}")
COMMANDS = {
    "info": (),
    "gap": ON_BASELINE,
    "conflict": (),
    "conflict --layers": (),
    "factors": ON_BASELINE,
    "front": ON_BASELINE,
    "correlate": ("--x", "min_train_loss", "--y", "final_metric"),
    "geometry": (),
    "weighting": (),
    "diagnose": ON_BASELINE,
    "check": (),
}
DRAWN = set(COMMANDS) - {"info", "diagnose", "check"}


OTHERS = {"watch", "export", "merge", "repair", "import"}  # further below
OF_ONE_S_OWN = {"quickstart", "study", "datasets"}  # read what their user wrote, or trajlab
SERVED = {"view"}  # a page, as that of diagnose; it prints its address


def test_every_command_has_its_turn() -> None:
    here = {name.split()[0] for name in COMMANDS} | OTHERS | OF_ONE_S_OWN | SERVED
    assert here == set(_HELP)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_run_s_names_command_nothing(
    trajlab: Trajlab, hostile: Path, tmp_path: Path, name: str
) -> None:
    page, table, figure = tmp_path / "p.html", tmp_path / "t.csv", tmp_path / "f.svg"
    files = ["--csv", table, "--figure", figure] if name in DRAWN else []
    files = ["--page", page, "--csv", table] if name == "diagnose" else files
    done = trajlab(*name.split(), hostile, *COMMANDS[name], *files)
    assert done.exit_code == 0, done.output
    assert "\x1b" not in done.output
    if table.exists():
        with table.open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        begins = {cell[0] for cell in cells if cell and not _is_number(cell)}
        assert not begins & set("=+-@\t\r")
    if figure.exists():
        drawn = figure.read_text()
        assert "\x1b" not in drawn
        assert "oblique" not in drawn  # as mathematics is
        assert any(name in drawn for name in ("$m_1$", "$s_1$", "$x_y$", "$a^b$", "$u_r$"))
    if page.exists():
        head = unescape(page.read_text()).partition("<style>")[0]
        assert "default-src 'none'" in head


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_commands_on_one_run(trajlab: Trajlab, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"{CLEAR}.h5"
    record(path, METHODS[0], 0, close=False)
    answers = [
        trajlab("info", path),
        trajlab("watch", path, "--once"),
        trajlab("export", path, "--table", "losses", "--out", tmp_path / f"{CLEAR}.{suffix}"),
        trajlab("repair", path, tmp_path / f"saved{CLEAR}.h5"),
        trajlab("merge", path),
        trajlab("merge", path),
        trajlab("check", path),
    ]
    path.write_bytes(path.read_bytes()[:-100])
    answers += [trajlab(command, path) for command in ("info", "check", "gap", "conflict")]
    answers.append(trajlab("repair", path, tmp_path / "again.h5"))
    assert [answer.exit_code for answer in answers] == [0] * 5 + [2, 0, 2, 1, 2, 2, 0]
    for answer in answers:
        assert "\x1b" not in answer.output


def test_a_csv_file_s_names_command_nothing(trajlab: Trajlab, tmp_path: Path) -> None:
    table = tmp_path / f"{CLEAR}.csv"
    table.write_text(f"step,loss/{CLEAR}x,loss/y\n0,1,2\n1,{CLEAR},1\n")
    for more in ((), ("--task", "task"), ("--meta", f"{CLEAR}=step")):
        assert "\x1b" not in trajlab("import", "csv", table, "--out", tmp_path / "o", *more).output
        shutil.rmtree(tmp_path / "o", ignore_errors=True)
