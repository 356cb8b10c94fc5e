"""What becomes one file: a run, or the parts of one."""

from collections.abc import Mapping

from trajlab.errors import TrajlabError, warn
from trajlab.store.importers.identity import Identity
from trajlab.store.importers.logged import Series
from trajlab.store.importers.places import Place, Placed


class Gathered:
    """The numbers of a run, put where they belong part by part.

    Parameters
    ----------
    identity
        Who the run is.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self._placed: dict[Place, Placed] = {}
        self._clocks: dict[str, list[Series]] = {}
        self._wanted: dict[str, str] = {}  # task of each series
        self._mapped: set[str] = set()

    @property
    def tasks(self) -> list[str]:
        """The tasks that it has numbers of."""
        return list(dict.fromkeys(where.task for where in self._placed if where.task))

    @property
    def lacking(self) -> list[tuple[str, str]]:
        """The series that none of its parts has, and the task of each."""
        return [item for item in self._wanted.items() if item[0] not in self._mapped]

    def put(self, where: Place, wanted: str, values: Series | None) -> None:
        """Put a series of a part where it belongs; None if the part does not have it.

        Raises
        ------
        TrajlabError
            If another series has the same place and step.
        """
        self._wanted[wanted] = where.task
        if values is None:
            return
        self._mapped.add(wanted)
        before = self._placed.get(where)
        if before is not None:
            both = sorted(before.values.keys() & values.keys())
            if not where.table:  # parts of a run have their clock in common
                both = [step for step in both if before.values[step] != values[step]]
            if both:
                raise TrajlabError(
                    f"the run {self.identity.name!r} has two series for "
                    f"{'/'.join(filter(None, where))} at step {both[0]}, {before.series!r} and "
                    f"{wanted!r}; tell them apart in --map"
                )
            values = {**before.values, **values}
        self._placed[where] = Placed(wanted, values)

    def carry(self, clocks: Mapping[str, Series]) -> None:
        """Take the clocks of a part, which go with its other numbers unless one is put."""
        for clock, values in clocks.items():
            self._clocks.setdefault(clock, []).append(values)

    def with_clocks(self) -> dict[Place, Placed]:
        """Return all numbers by place; a clock that parts contradict is warned of."""
        placed = dict(self._placed)
        for clock, parts in self._clocks.items():
            where = Place("", clock)
            if where in placed:
                continue
            merged: dict[int, float] = {}
            alike = [merged.setdefault(step, v) == v for part in parts for step, v in part.items()]
            if all(alike):
                placed[where] = Placed(clock, merged)
            else:
                warn(
                    f"the parts of the run {self.identity.name!r} differ in {clock!r}, which is "
                    f"left out"
                )
        return placed
