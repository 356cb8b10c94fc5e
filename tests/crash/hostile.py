"""Files that are damaged and then given the right checksums, and what becomes of their numbers.

python -m tests.crash.hostile 100000 numbers.jsonl
"""

import argparse
import json
import random
import resource
import struct
import tempfile
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.crash.place import memory
from tests.store.resealing import index_of, resealed
from trajlab.errors import TrajlabError
from trajlab.store import Table, Trajectory, Writer, frames, parts, standard

TASKS = ["left", "right"]
GRAM = "gradients"
TABLES = ("losses", "hessian", "evaluations/train", "evaluations/test", GRAM)
STEPS = 5
GOLDEN = Path(__file__).parents[1] / "data" / "format" / "version-1.h5"
PIECE = 500  # inputs a line of the log
Damage = Callable[[bytes, random.Random], bytes]


def record(path: Path, method: str = "mtl", seed: int = 1, *, close: bool = True) -> Path:
    """Make a small run with numbers, flags and texts."""
    metadata = {"setting": "s", "method": method, "seed": seed}
    writer = Writer(path, TASKS, metadata=metadata)
    tables = [
        writer.declare(standard(name, task=TASKS, **({"layer": ["trunk"]} if name == GRAM else {})))
        for name in TABLES
    ]
    for step in range(STEPS):
        for table in tables:
            writer.append(table.name, row(table, step, seed))
        writer.flush()
    if close:
        writer.close()
    else:
        writer._lock.release()
    return path


def row(table: Table, step: int, seed: int) -> dict[str, Any]:
    """Return a row with something in every column."""
    made: dict[str, Any] = {"step": step}
    for i, column in enumerate(table.columns):
        shape = table.shape(column)
        counted = np.arange(1, 1 + int(np.prod(shape))).reshape(shape) + step + i
        value: Any = counted / 7
        if column.name == "loss":
            value = [2 - 0.3 * step - 0.01 * seed, 3 - 0.4 * step]
        elif column.name == "gram":
            value = [[[1 + step, 0.5], [0.5, 2]]]
        elif column.dtype == "bool":
            value = counted % 2 == 0
        elif column.dtype == "int64":
            value = counted
        elif column.dtype == "str":
            value = [f"é {n}" for n in counted.ravel()]
        made[column.name] = value if shape else np.asarray(value).item()
    return made


def bent(content: bytes, choose: random.Random) -> bytes:
    """Change a few bytes: bits, whole numbers, or a stretch put elsewhere."""
    changed = bytearray(content)
    for _ in range(choose.randint(1, 3)):
        at = choose.randrange(len(changed) or 1)
        kind = choose.randrange(4)
        if not changed:
            changed += b"x"
        elif kind == 0:
            changed[at] ^= 1 << choose.randrange(8)
        elif kind == 1:
            changed[at] = choose.choice([*b'0123456789-[]{}",eN', 0, 255])
        elif kind == 2:
            size = choose.randint(1, 8)
            changed[at : at + size] = changed[:size]
        else:
            del changed[at : at + choose.randint(1, 8)]
    return bytes(changed)


def reworded(content: bytes, choose: random.Random) -> bytes:
    """Change one thing of what JSON says: a number, a text, the length of a list, a type."""
    facts = json.loads(content)
    places: list[tuple[Any, Any]] = []
    waiting = [facts]
    for node in waiting:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                waiting.append(node[key])
    node, key = choose.choice(places)
    value = node[key]
    kind = choose.randrange(4)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, list):
        node.insert(key, value)
    elif kind == 2:
        node[key] = choose.choice([None, "", [], {}, True, -1, 1.5, 2**63, "9" * 99, [[[]]]])
    elif isinstance(value, int | float):
        node[key] = choose.choice([value + 1, value - 1, value * 2, 2**31, 2**62, -value])
    elif isinstance(value, str) and value:
        node[key] = bent(value.encode(), choose).decode(errors="replace")
    else:
        node[key] = value
    return json.dumps(facts).encode()


def index(damage: Damage) -> Damage:
    """Damage the index of a sealed file."""

    def damaged(content: bytes, choose: random.Random) -> bytes:
        offset, length = struct.unpack("<QQ", content[-28:-12])
        told = damage(content[offset : offset + length], choose)
        place = struct.pack("<QQ", offset, len(told))
        crc = struct.pack("<I", zlib.crc32(place, zlib.crc32(told)))
        return content[:offset] + told + place + crc + b"trajlab2"

    return damaged


def image(content: bytes, choose: random.Random) -> bytes:
    """Damage a sealed file before its index, which then has the right checksum of the rest."""
    facts, offset = index_of(content)
    changed = bytearray(content[:offset])
    for _ in range(choose.randint(1, 3)):
        changed[choose.randrange(offset)] ^= 1 << choose.randrange(8)
    return resealed(bytes(changed), facts)


def version_1(content: bytes, choose: random.Random) -> bytes:
    """Damage an HDF5 file of version 1, whose seal is then the right one."""
    changed = bytearray(content[:-24])
    for _ in range(choose.randint(1, 3)):
        changed[choose.randrange(len(changed))] ^= 1 << choose.randrange(8)
    end = struct.pack("<8sQI", b"\ntrajlab", len(changed), 0)
    return bytes(changed) + end + struct.pack("<I", zlib.crc32(end, zlib.crc32(changed)))


def frame(damage: Damage) -> Damage:
    """Damage the facts of one frame of a log."""

    def damaged(content: bytes, choose: random.Random) -> bytes:
        starts = [frames.HEAD]
        while starts[-1] < len(content):
            _, told, body = struct.unpack_from("<4sIQ", content, starts[-1])
            starts.append(starts[-1] + 20 + told + body)
        at = choose.choice(starts[:-1])
        _, told, body = struct.unpack_from("<4sIQ", content, at)
        facts = damage(content[at + 20 : at + 20 + told], choose)
        begin = struct.pack("<4sIQ", b"\x02tlf", len(facts), body)
        crc = struct.pack("<I", zlib.crc32(facts, zlib.crc32(begin)))
        made = content[frames.HEAD : at] + begin + crc + facts + content[at + 20 + told :]
        size = frames.HEAD + len(made)
        return frames.MAGIC + frames.slot(0) + frames.slot(size) + made

    return damaged


class Inputs:
    """Damaged runs by number: one number, one damage.

    Parameters
    ----------
    folder
        An empty one.
    golden
        A sealed file of version 1.
    """

    def __init__(self, folder: Path, golden: Path) -> None:
        whole, log, old = (folder / name / "run.h5" for name in ("whole", "log", "old"))
        record(whole)
        record(log, close=False)
        old.parent.mkdir()
        old.write_bytes(golden.read_bytes())
        frames_of = parts.log(log, 1)
        kinds = [
            ("index, bytes", whole, whole, index(bent)),
            ("index, words", whole, whole, index(reworded)),
            ("frame, bytes", log, frames_of, frame(bent)),
            ("frame, words", log, frames_of, frame(reworded)),
        ]
        # these are slower: HDF5 reads them, in its own process
        self._kinds = [
            *kinds * 5,
            ("image", whole, whole, image),
            ("version 1", old, old, version_1),
        ]
        self._intact = {file: file.read_bytes() for _, _, file, _ in self._kinds}
        self.truth = {path: numbers(path)[0] for path in (whole, log, old)}

    def put(self, number: int) -> tuple[str, Path]:
        """Damage a run, and return in which way and where it lies; the others are intact."""
        kind, path = self.restore(number)
        _, _, file, damage = self._kinds[number % len(self._kinds)]
        file.write_bytes(damage(self._intact[file], random.Random(number)))
        return kind, path

    def restore(self, number: int) -> tuple[str, Path]:
        """Undo all damage, and return in which way and where `put` damages a run."""
        for intact, content in self._intact.items():
            if intact.stat().st_size != len(content) or intact.read_bytes() != content:
                intact.write_bytes(content)
        kind, path, _, _ = self._kinds[number % len(self._kinds)]
        return kind, path


Numbers = dict[tuple[str, str], dict[int, Any]]  # by table and column, what stands at each step


def numbers(path: Path) -> tuple[Numbers, bool]:
    """Read a run, and return its numbers and whether anything was told of it."""
    run = Trajectory(path)
    repr(run)
    told = bool(run.problems)
    found: Numbers = {}
    for name in run.tables:
        try:
            table = run.table(name)
            steps = table["step"].tolist()
        except TrajlabError:
            told = True
            continue
        for column in table.declared.columns:
            try:
                values = table[column.name]
            except TrajlabError:
                told = True
            else:
                rows = dict(zip(steps, values.tolist(), strict=True))
                assert len(rows) == len(steps)
                found[name, column.name] = rows
    return found, told


def outcome(path: Path, truth: Numbers) -> str:
    """Say in a word what a reader gets of a damaged run.

    Returns
    -------
    str
        ``told``: a sentence, and what can be read is as it was. ``same``: every number is what and
        where it was; a label, a unit or the metadata may be others, for which nothing but the
        checksum stood. ``changed``: a number is another. ``lost``: numbers are gone without a word.
    """
    try:
        found, told = numbers(path)
    except TrajlabError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return "told"
    for key, rows in found.items():
        for step, value in rows.items():
            if key in truth and _flat(value) != _flat(truth[key].get(step)):
                return "changed"
    if told:
        return "told"
    lacking = [key for key in truth if found.get(key, {}).keys() != truth[key].keys()]
    return "lost" if lacking else "same"


def _flat(value: Any) -> str:
    """Return the numbers of a row in their order; an axis of one label is but a name."""
    return repr(np.ravel(np.asarray(value, object)).tolist())


def measured(inputs: Inputs, first: int, count: int) -> dict[str, Any]:
    """Read some inputs, and return how often what came of them."""
    outcomes: Counter[str] = Counter()
    bad: list[int] = []
    longest = 0.0
    for number in range(first, first + count):
        kind, path = inputs.put(number)
        began = _worked()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                word = outcome(path, inputs.truth[path])
            except Exception as error:  # counted as what it is: a traceback
                word = f"traceback {type(error).__name__}: {error}"
        longest = max(longest, _worked() - began)
        outcomes[f"{kind}: {word}"] += 1
        if word not in ("told", "same"):
            bad.append(number)
    memory_now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return facts_of(first, count, outcomes, bad, longest, memory_now)


def facts_of(
    first: int, count: int, outcomes: Counter[str], bad: list[Any], longest: float, most: float
) -> dict[str, Any]:
    """Return a line of the log.

    Parameters
    ----------
    first, count
        The inputs that it is of.
    outcomes, bad
        How often what came of them, and those that were not as they must be.
    longest, most
        Seconds that one took, and memory in MiB.
    """
    told = {"first": first, "count": count, "outcomes": outcomes, "bad": bad}
    return told | {"longest": round(longest, 2), "MiB": round(most)}


def _worked() -> float:
    """Return the seconds that this process and those it has ended have worked."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def through_pieces(measure: Callable[[int], dict[str, Any]], pieces: range, log: Path) -> None:
    """Measure piece by piece, a line each in a file; what stands there is not measured again."""
    lines = log.read_text().splitlines() if log.exists() else []
    done = {facts["first"]: facts for facts in map(json.loads, lines)}
    for first in pieces:
        if first not in done:
            done[first] = measure(first)
            with log.open("a") as file:
                file.write(json.dumps(done[first]) + "\n")
    total: Counter[str] = Counter()
    for facts in done.values():
        total.update(facts["outcomes"])
    print(json.dumps(total, indent=1))
    longest, most = (max(facts[name] for facts in done.values()) for name in ("longest", "MiB"))
    print(f"longest {longest} s, most memory {most} MiB")


def through_inputs(
    description: str | None,
    prepare: Callable[[Path], "Inputs"],
    measure: Callable[["Inputs", int, int], dict[str, Any]],
    piece: int,
) -> None:
    """Go through as many inputs as the command line says, piece by piece, from where it stopped.

    Parameters
    ----------
    description
        What the program does.
    prepare
        Makes what the inputs are damaged from, in a folder.
    measure
        Reads so many inputs, from the first on.
    piece
        Inputs a line of the log.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("inputs", type=int)
    parser.add_argument("log", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        inputs = prepare(Path(name))
        through_pieces(
            lambda first: measure(inputs, first, piece),
            range(0, options.inputs, piece),
            options.log,
        )


if __name__ == "__main__":
    through_inputs(__doc__, lambda folder: Inputs(folder, GOLDEN), measured, PIECE)
