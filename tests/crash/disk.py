"""The file layer, recorded: every operation that changes a file or a folder, in order.

The states that a kill or a power loss can leave are then rebuilt from the record. Only the first
descriptor layer is watched (``open``, ``os``): HDF5 itself must never write, and where the negative
control lets it write, it does so through a Python file.
"""

import builtins
import io
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Operation:
    """One change: `kind` is ``create``, ``write``, ``truncate``, ``sync``, ``move``, ``drop``,
    ``mkdir``, ``rmdir`` or ``acknowledge``."""

    kind: str
    path: Path
    target: Path | None = None
    offset: int = 0
    content: bytes = b""
    size: int = 0


class Record:
    """Intercepts the operations below `root` and calls `before` ahead of each."""

    def __init__(self, monkeypatch: Any, root: Path) -> None:
        self.root = root
        self.operations: list[Operation] = []
        self.before: Callable[[Operation], None] = lambda _: None
        self._replace, self._open = os.replace, builtins.open
        for name, kind in (("unlink", "drop"), ("mkdir", "mkdir"), ("rmdir", "rmdir")):
            monkeypatch.setattr(os, name, self._changes(getattr(os, name), kind))
        monkeypatch.setattr(os, "replace", self.replace)
        monkeypatch.setattr(os, "fsync", self._syncs(os.fsync))
        monkeypatch.setattr("trajlab.store.log._sync", self._syncs(os.fdatasync))
        monkeypatch.setattr(builtins, "open", self.open)

    def acknowledge(self, rows: int) -> None:
        """Note that so many rows have been promised to survive."""
        self.operations.append(Operation("acknowledge", self.root, size=rows))

    def note(self, operation: Operation) -> None:
        self.before(operation)
        self.operations.append(operation)

    def open(self, file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        inside = isinstance(file, str | Path) and Path(file).is_relative_to(self.root)
        if not inside or not set(mode) & set("wxa+"):
            return self._open(file, mode, *rest, **options)
        self.note(Operation("create", Path(file)))
        return Watched(self, Path(file), self._open(file, mode, buffering=0))

    def replace(self, source: Any, target: Any) -> None:
        self.before(Operation("move", Path(source), Path(target)))
        self._replace(source, target)
        self.operations.append(Operation("move", Path(source), Path(target)))

    def _changes(self, function: Callable[..., None], kind: str) -> Callable[..., None]:
        def changed(path: Any, *arguments: Any, **options: Any) -> None:
            operation = Operation(kind, Path(path))
            if operation.path.is_relative_to(self.root):
                self.before(operation)
            function(path, *arguments, **options)
            if operation.path.is_relative_to(self.root):
                self.operations.append(operation)

        return changed

    def _syncs(self, function: Callable[[int], None]) -> Callable[[int], None]:
        def synced(descriptor: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            operation = Operation("sync", path)
            if path.is_relative_to(self.root):
                self.before(operation)
            function(descriptor)
            if path.is_relative_to(self.root):
                self.operations.append(operation)

        return synced


class Watched(io.RawIOBase):
    """A file whose writes are recorded."""

    def __init__(self, record: Record, path: Path, file: Any) -> None:
        self._record, self._path, self._file = record, path, file

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    @property
    def name(self) -> str:
        return str(self._path)

    def fileno(self) -> int:
        return int(self._file.fileno())

    def readinto(self, buffer: Any) -> int:
        return int(self._file.readinto(buffer))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def write(self, content: Any) -> int:
        self._record.note(
            Operation("write", self._path, offset=self._file.tell(), content=bytes(content))
        )
        return int(self._file.write(content))

    def truncate(self, size: int | None = None) -> int:
        size = self._file.tell() if size is None else size
        self._record.note(Operation("truncate", self._path, size=size))
        return int(self._file.truncate(size))

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass
class Inode:
    """A file: what is on the platter, and what so far is only in the system's memory."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)

    def after(self, operations: list[Operation]) -> bytearray:
        """Return the content once `operations` have happened to it."""
        content = bytearray(self.durable)
        for operation in operations:
            if operation.kind == "truncate":
                del content[operation.size :]
                content.extend(bytes(operation.size - len(content)))
            else:
                end = operation.offset + len(operation.content)
                content.extend(bytes(max(0, end - len(content))))
                content[operation.offset : end] = operation.content
        return content


@dataclass
class Folder:
    """Names: those on the platter, those in memory, and the changes between them."""

    durable: dict[str, Inode] = field(default_factory=dict)
    now: dict[str, Inode] = field(default_factory=dict)
    pending: list[tuple[str | None, str | None, Inode | None]] = field(default_factory=list)

    def change(self, gone: str | None, come: str | None, inode: Inode | None) -> None:
        self.pending.append((gone, come, inode))
        _apply(self.now, gone, come, inode)


def _apply(
    names: dict[str, Inode], gone: str | None, come: str | None, inode: Inode | None
) -> None:
    if gone is not None:
        names.pop(gone, None)
    if come is not None and inode is not None:
        names[come] = inode


@dataclass
class Disk:
    """A disk on which recorded operations are played back."""

    root: Path
    folders: dict[Path, Folder] = field(default_factory=dict)
    acknowledged: int = 0

    def __post_init__(self) -> None:
        self.folders.setdefault(self.root, Folder())

    def play(self, operation: Operation) -> None:
        """Let one operation happen."""
        path = operation.path
        folder = self.folders.get(path.parent)
        match operation.kind:
            case "acknowledge":
                self.acknowledged = operation.size
            case "mkdir":
                self.folders.setdefault(path, Folder())
                folder.change(None, path.name, Inode())
            case "rmdir":
                folder.change(path.name, None, None)
            case "create":
                if path.name not in folder.now:
                    folder.change(None, path.name, Inode())
            case "move":
                inode = folder.now[path.name]
                folder.change(path.name, operation.target.name, inode)
            case "drop":
                folder.change(path.name, None, None)
            case "sync" if path in self.folders:
                self.folders[path].durable = dict(self.folders[path].now)
                self.folders[path].pending.clear()
            case "sync":
                inode = folder.now[path.name]
                inode.durable = inode.after(inode.pending)
                inode.pending.clear()
            case _:
                folder.now[path.name].pending.append(operation)

    def killed(self) -> dict[Path, bytes | None]:
        """Return what the files hold after a kill: all that the system was told; folders None."""
        return self._tree(lambda folder: folder.now, lambda inode: inode.after(inode.pending))

    def unplugged(self, generator: np.random.Generator) -> dict[Path, bytes | None]:
        """Return what they may hold after a power loss.

        Of what was not synced any part may have happened: each change of a name or not, each
        write whole, torn or not.
        """

        def names(folder: Folder) -> dict[str, Inode]:
            kept = dict(folder.durable)
            for change in folder.pending:
                if generator.random() < 0.5:
                    _apply(kept, *change)
            return kept

        def content(inode: Inode) -> bytearray:
            happened = []
            for operation in inode.pending:
                chance = generator.random()
                if chance < 0.4:
                    happened.append(operation)
                elif chance < 0.7 and operation.kind == "write":
                    happened.append(torn(operation))
            return inode.after(happened)

        return self._tree(names, content)

    def _tree(
        self,
        names: Callable[[Folder], dict[str, Inode]],
        content: Callable[[Inode], bytearray],
    ) -> dict[Path, bytes | None]:
        tree: dict[Path, bytes | None] = {}
        folders = [self.root]
        for folder in folders:
            for name, inode in names(self.folders[folder]).items():
                if folder / name in self.folders:
                    folders.append(folder / name)
                    tree[folder / name] = None
                else:
                    tree[folder / name] = bytes(content(inode))
        return tree


def torn(write: Operation) -> Operation:
    """Return the first half of a write."""
    half = write.content[: len(write.content) // 2]
    return Operation("write", write.path, offset=write.offset, content=half)


def states(
    operations: list[Operation], root: Path, power_losses: int, seed: int = 0
) -> Iterator[tuple[str, int, dict[Path, bytes | None]]]:
    """Yield what a crash can leave: after each operation, with it torn, and after power losses.

    Yields
    ------
    kind : str
        ``whole``, ``torn`` or ``power loss``.
    acknowledged : int
        Rows that had been promised by then.
    tree : dict
        Content by path.
    """
    generator = np.random.default_rng(seed)
    disk = Disk(root)
    for operation in operations:
        if operation.kind == "write":
            half = deepcopy(disk)
            half.play(torn(operation))
            yield "torn", half.acknowledged, half.killed()
        disk.play(operation)
        yield "whole", disk.acknowledged, disk.killed()
        for _ in range(power_losses):
            yield "power loss", disk.acknowledged, disk.unplugged(generator)


def put(tree: dict[Path, bytes | None], root: Path, place: Path) -> None:
    """Write a state's files below `place` instead of `root`."""
    place.mkdir()
    for path, content in tree.items():
        target = place / path.relative_to(root)
        if content is None:
            target.mkdir()
        else:
            target.write_bytes(content)
