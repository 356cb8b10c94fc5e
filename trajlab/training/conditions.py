"""Conditions of a setting: what is trained, and of which tasks it consists."""

from collections.abc import Mapping
from dataclasses import dataclass

from trajlab.errors import TrajlabError
from trajlab.training.setting import Names


@dataclass(frozen=True)
class Conditions:
    """The conditions of a setting that has a fixed list of them.

    Attributes
    ----------
    setting
        Name of the setting, as stored with runs.
    tasks
        From condition to the names of its tasks.
    """

    setting: str
    tasks: Mapping[str, Names]

    def __call__(self, condition: str) -> Names:
        """Return the names of the condition's tasks.

        Raises
        ------
        TrajlabError
            If there is no such condition.
        """
        if condition not in self.tasks:
            raise TrajlabError(
                f"{self.setting} has no condition {condition!r}; choose among "
                f"{', '.join(map(repr, self.tasks))}"
            )
        return self.tasks[condition]


@dataclass(frozen=True)
class Subsets:
    """The conditions of a setting of many tasks: any of them, joined by ``+``.

    Attributes
    ----------
    setting
        As in `Conditions`.
    names
        Names of all its tasks.
    plain
        Those that ``""`` stands for; all of them if not given.
    """

    setting: str
    names: Names
    plain: Names = ()

    def __call__(self, condition: str) -> Names:
        """Return the names of the condition's tasks, in the order they are named.

        Raises
        ------
        TrajlabError
            If a task is unknown or named twice.
        """
        chosen = tuple(condition.split("+")) if condition else self.plain or self.names
        for name in chosen:
            if name not in self.names or chosen.count(name) > 1:
                raise TrajlabError(
                    f"condition {condition!r} of {self.setting} must join distinct task names by "
                    f"'+'; the tasks are {', '.join(self.names)}"
                )
        return chosen
