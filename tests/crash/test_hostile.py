"""Files damaged at random and sealed again: a sentence, or what was written; never a crash.

Every input is read in this process, as `trajlab info` and the analyses do.
"""

import os
import struct
import time
import warnings
import zlib
from collections import Counter

import numpy as np

from tests.runs import write
from trajlab.errors import TrajlabError
from trajlab.store import Trajectory, frames, parts, standard

INPUTS = int(os.environ.get("TRAJLAB_INPUTS", "2000"))
TASKS = ["left", "right"]


def record(path, *, close):
    tables = [standard(name, task=TASKS) for name in ("losses", "hessian")]
    flushes = (
        {
            "losses": {"step": step, "loss": [step, 0.5]},
            "hessian": {"step": step, "top": [1, step], "reason": ["", "é"]},
        }
        for step in range(5)
    )
    return write(path, TASKS, tables, flushes, close=close, metadata={"seed": 1})


def mutated(content, generator):
    """Change a few bytes: bits, whole numbers, or a stretch put elsewhere."""
    content = bytearray(content)
    for _ in range(generator.integers(1, 4)):
        at = int(generator.integers(len(content)))
        kind = generator.integers(4)
        if kind == 0:
            content[at] ^= 1 << int(generator.integers(8))
        elif kind == 1:
            content[at] = int(generator.choice([*b'0123456789-[]{}",eN', 0, 255]))
        elif kind == 2:
            size = int(generator.integers(1, 9))
            content[at : at + size] = content[:size]
        else:
            del content[at : at + int(generator.integers(1, 9))]
    return bytes(content)


def resealed(content, generator):
    """Damage the index of a sealed file, and give it the right checksum."""
    offset, length = struct.unpack("<QQ", content[-28:-12])
    index = mutated(content[offset : offset + length], generator)
    place = struct.pack("<QQ", offset, len(index))
    crc = struct.pack("<I", zlib.crc32(place, zlib.crc32(index)))
    return content[:offset] + index + place + crc + b"trajlab2"


def reframed(content, generator):
    """Damage the facts of the first frame of a log, and give them the right checksum."""
    _, told, body = struct.unpack_from("<4sIQ", content, frames.HEAD)
    first = frames.HEAD + 20
    facts = mutated(content[first : first + told], generator)
    begin = struct.pack("<4sIQ", b"\x02tlf", len(facts), body)
    crc = struct.pack("<I", zlib.crc32(facts, zlib.crc32(begin)))
    rest = content[first + told :]
    made = begin + crc + facts + rest
    size = frames.HEAD + len(made)
    return frames.MAGIC + frames.slot(0) + frames.slot(size) + made


def read(path):
    """Read everything, and return the numbers of the loss."""
    run = Trajectory(path)
    repr(run)
    for name in run.tables:
        for column in run.table(name):
            run.table(name)[column]
    return run.table("losses")["loss"] if "losses" in run.tables else None


def test_no_file_crashes_or_holds_its_reader(tmp_path):
    generator = np.random.default_rng(0)
    outcomes: Counter[str] = Counter()
    whole = record(tmp_path / "whole.h5", close=True)
    log = record(tmp_path / "log.h5", close=False)
    targets = [
        (whole, whole, resealed),
        (log, parts.log(log, 1), reframed),
    ]
    longest = 0.0
    for i in range(INPUTS):
        path, file, damage = targets[i % 2]
        content = file.read_bytes()
        file.write_bytes(damage(content, generator))
        began = time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path)
            outcomes["read"] += 1
        except TrajlabError as error:
            assert "\n" not in str(error)  # noqa: PT017
            outcomes["told"] += 1
        longest = max(longest, time.process_time() - began)
        file.write_bytes(content)
    print(f"{INPUTS} inputs: {dict(outcomes)}; the longest took {longest:.2f} s")
    assert outcomes["told"] > INPUTS // 4
    assert outcomes["read"] > 0
    assert longest < 10
