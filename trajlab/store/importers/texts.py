"""Files of text, and sentences that say why one cannot be read."""

import codecs
from pathlib import Path

from trajlab.errors import TrajlabError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_POINTER = b"version https://git-lfs.github.com/spec/"


def read_bytes(file: Path) -> bytes:
    """Return what a file holds.

    Raises
    ------
    TrajlabError
        If it cannot be read, is empty, or is a git-LFS pointer to what it should hold.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TrajlabError(f"{file} cannot be read: {error.strerror}") from error
    if not data.strip():
        raise TrajlabError(f"{file} is empty")
    if data.startswith(_POINTER):
        raise TrajlabError(f"{file} is a git-LFS pointer, not the file; run git lfs pull")
    return data


def read_text(file: Path) -> str:
    """Return the text in a file of UTF-8.

    Raises
    ------
    TrajlabError
        As `read_bytes`, and if it is no UTF-8.
    """
    data = read_bytes(file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = "it begins like UTF-16; save it as UTF-8" if data[:2] in _UTF_16 else "save it so"
        raise TrajlabError(f"{file} is not UTF-8 text (byte {error.start}); {what}") from error
