"""Files of text, and sentences that say why one cannot be read."""

import codecs
import gzip
import shlex
import zlib
from pathlib import Path

from trajlab.errors import TrajlabError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_GZIP = b"\x1f\x8b"
_POINTER = b"version https://git-lfs.github.com/spec/"


def read_bytes(file: Path) -> bytes:
    """Return what a file holds, unpacked where gzip has packed it.

    Raises
    ------
    TrajlabError
        If it cannot be read or unpacked, is empty, or is a git-LFS pointer to what it should hold.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TrajlabError(f"{file} cannot be read: {error.strerror}") from error
    if data.startswith(_GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise TrajlabError(f"{file} is packed by gzip and torn or damaged: {error}") from error
    if not data.strip():
        raise TrajlabError(f"{file} is empty")
    if data.startswith(_POINTER):
        raise TrajlabError(f"{file} is a git-LFS pointer, not the file; run git lfs pull")
    return data


def read_text(file: Path) -> str:
    """Return the text in a file of UTF-8, or of UTF-16 that says so by its first two bytes.

    Raises
    ------
    TrajlabError
        As `read_bytes`, and if it is no such text.
    """
    data = read_bytes(file)
    marked = data[:2] in _UTF_16
    if 0 in data[:2]:  # half of a first character that UTF-8 has in one byte
        code = "UTF-16LE" if data[0] else "UTF-16BE"
        raise TrajlabError(f"{file} is {code} text without its mark; {_convert(file, code)}")
    try:
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        code, do = ("UTF-16", "it is torn, copy it anew") if marked else ("UTF-8", _convert(file))
        raise TrajlabError(f"{file} is not {code} text (byte {error.start}); {do}") from error


def _convert(file: Path, code: str = "WINDOWS-1252") -> str:
    """Say by which command a file of another code becomes UTF-8, packed by gzip or not."""
    old, new = shlex.quote(str(file)), shlex.quote(f"{file}.utf8")
    read = f"gzip -cdf {old} | iconv -f {code} -t UTF-8"  # -f: as it is, where it is not packed
    return f"if it is {code}, convert it by: {read} > {new} && mv {new} {old}"
