"""What the view knows: the runs as they stand, and the sections of the page made of them."""

import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from trajlab.analysis import diagnose
from trajlab.errors import TrajlabError
from trajlab.report import page as report
from trajlab.report.live.progress import progress
from trajlab.store import Runs, Trajectory
from trajlab.store.watched import Watched

log = logging.getLogger(__name__)

SELECTIONS = 8  # pages that are kept
REST = 4  # a page is made again after so many times what making it took
_SECTION = re.compile(r'<section id="([\w-]+)">.*?</section>', re.DOTALL)


_DRAWING = threading.Lock()  # one page at a time: matplotlib's settings are the process's


@dataclass(frozen=True)
class Sections:
    """The page in pieces: each by its name, with a mark that differs when it differs."""

    html: Mapping[str, str]
    marks: Mapping[str, str]


@dataclass
class _Page:
    """The page of one selection: what it was made of, and when it may be made again."""

    sections: Mapping[str, str]
    state: object = None
    again: float = 0.0
    making: bool = False


class Live:
    """Runs that are looked at again and again, and the page of each selection of them.

    Parameters
    ----------
    patterns
        Files, folders or globs; runs that appear later are found.
    settings
        Options of :func:`trajlab.analysis.diagnose`.
    """

    def __init__(self, patterns: Sequence[str], settings: Mapping[str, Any]) -> None:
        self._watched = Watched(*patterns)
        self._settings = dict(settings)
        self._pages: dict[str, _Page] = {}
        self._looking = threading.Lock()

    def sections(self, where: str = "") -> Sections:
        """Return the page of the runs whose metadata are ``KEY=VALUE …``.

        How far the runs are is told at once. The rest is made anew beside, where something came
        since, and is there at a later call.

        Parameters
        ----------
        where
            Conditions with blanks between them; empty for all runs.
        """
        with self._looking:
            present = self._watched.look()
            runs = Runs([run for run in present if _meets(run, where)], present.skipped)
            state = [(run.path, run.status, _rows(run)) for run in runs], runs.skipped
            page = self._pages.pop(where, None) or _Page({})
            self._pages[where] = page  # the last one that was asked for
            while len(self._pages) > SELECTIONS:
                del self._pages[next(iter(self._pages))]
            if state != page.state and not page.making and time.monotonic() >= page.again:
                page.making = True
                threading.Thread(target=self._make, args=(page, runs, state), daemon=True).start()
            html = {"progress": progress(runs, where), **page.sections}
        return Sections(html, {name: _mark(text) for name, text in html.items()})

    def _make(self, page: _Page, runs: Runs, state: object) -> None:
        with _DRAWING:
            began = time.monotonic()
            try:
                page.sections = _sections(runs, self._settings)
            finally:  # or the page would never be made again
                page.state, page.making = state, False
            page.again = time.monotonic() + REST * (time.monotonic() - began)


def _sections(runs: Runs, settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the sections of the page; where there is no verdict, why, and the curves."""
    try:
        return _split(report.render(diagnose(runs, **settings), runs))
    except TrajlabError as error:
        why = str(error)
    except Exception as error:  # a fault of an analysis must not end the view
        log.warning("the page could not be made", exc_info=True)
        why = f"{type(error).__name__}: {error}"
    return _split(report.without_verdict(why, runs, settings.get("group_by", ())))


def _split(html: str) -> dict[str, str]:
    return {match[1]: match[0] for match in _SECTION.finditer(html)}


def _mark(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def _meets(run: Trajectory, where: str) -> bool:
    """Tell whether a run's metadata are as asked for; an unknown key is met by none."""
    for condition in where.split():
        key, _, value = condition.partition("=")
        if str(run.metadata.get(key, "")) != value:
            return False
    return True


def _rows(run: Trajectory) -> int:
    """Return a number that grows with every row."""
    return sum(len(run.table(name)["step"]) for name in run.tables)
