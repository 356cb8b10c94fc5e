"""The tables that a user named, and what each is called."""

import glob
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store.importers.naming import NamePattern

StrPath = str | os.PathLike[str]

_SUFFIXES = (".csv", ".tsv", ".jsonl")
_PACKED = ".gz"


def _sources(file: StrPath | Sequence[StrPath]) -> list[str]:
    return [os.fspath(f) for f in ([file] if isinstance(file, str | os.PathLike) else file)]


def said(file: StrPath | Sequence[StrPath]) -> str:
    """Say what the user named."""
    first, *more = _sources(file)
    return f"{first} and {len(more)} more" if more else first


def named_files(file: StrPath | Sequence[StrPath], pattern: NamePattern | None) -> dict[Path, str]:
    """Return the files and what each is called: its path below what was named.

    Raises
    ------
    TrajlabError
        If a folder or glob holds no table.
    """
    named: dict[Path, str] = {}
    single: list[Path] = []
    for text in _sources(file):
        path = Path(text)
        if path.is_dir():
            files = (p for p in path.rglob("*") if p.is_file())
            chosen = sorted(p for p in files if _unpacked(p).suffix in _SUFFIXES)
            named |= {p: _unpacked(p).relative_to(path).with_suffix("").as_posix() for p in chosen}
        elif glob.has_magic(text) and not path.exists():
            chosen = [Path(p) for p in sorted(glob.glob(text, recursive=True))]
            single += chosen
        else:
            chosen = [path]
            single += chosen
        if not chosen:
            what = "name another"
            if path.is_dir() and any(path.rglob("*.json")):
                glob_of_json = shlex.quote(f"{path}/**/*.json")
                what = f"its JSON files are named by a pattern, {glob_of_json}"
            raise TrajlabError(f"{path} holds no table ({', '.join(_SUFFIXES)}); {what}")
    whole = [_unpacked(p.absolute()).with_suffix("") for p in single]
    # as many folders as the pattern spans, else those in which the files differ
    root = Path(os.path.commonpath([p.parent for p in whole])) if whole else Path()
    for p, full in zip(single, whole, strict=True):
        named[p] = "/".join(
            full.parts[-pattern.depth :] if pattern else full.relative_to(root).parts
        )
    return named


def _unpacked(path: Path) -> Path:
    return path.with_suffix("") if path.suffix == _PACKED else path
