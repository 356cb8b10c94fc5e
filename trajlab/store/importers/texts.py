"""Files of text, and sentences that say why one cannot be read."""

from pathlib import Path

from trajlab.errors import TrajlabError

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
    try:
        return read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrajlabError(f"{file} is not UTF-8 text (byte {error.start})") from error
