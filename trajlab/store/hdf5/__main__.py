"""Answers, line by line, what stands in HDF5 files; see `trajlab.store.hdf5.process`."""

import json
import resource
import sys
import time

MEMORY = 768 * 2**20  # bytes
SECONDS = 4  # of its own work for the answer on one file, however busy the machine is


def main() -> None:
    """Read requests until there are no more."""
    from trajlab.store.hdf5.index import index

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    _say("ready")
    for line in sys.stdin:
        request = json.loads(line)
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + SECONDS, most))
        try:
            reply = index(request["path"], lenient=request["lenient"])
        except Exception as error:  # whatever h5py makes of damage
            said = " ".join(str(error).split()) or type(error).__name__
            reply = {"error": said}
        _say(json.dumps(reply))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
