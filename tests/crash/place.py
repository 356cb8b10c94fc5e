"""Where the tests here put their runs."""

import os


def memory() -> str | None:
    """Return a folder in memory, if there is one.

    A kill takes nothing from what a process has handed to the system, on whatever disk; only a
    power loss does, which is played back. So nothing here needs a disk, and many kills are cheap.
    """
    return "/dev/shm" if os.path.isdir("/dev/shm") else None
