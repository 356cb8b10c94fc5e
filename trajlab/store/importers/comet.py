"""Read the archives of Comet's offline experiments."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from trajlab.errors import TrajlabError
from trajlab.store.importers.logged import Found, LoggedRun, read_each
from trajlab.store.importers.rows import Rows, numbers
from trajlab.store.importers.texts import read_bytes


def read_comet(path: Path) -> Iterator[Found]:
    """Return a run for each archive below; what was logged in a context is ``CONTEXT_METRIC``.

    A file that is no archive of Comet is `Unreadable`.
    """
    return read_each([path] if path.is_file() else sorted(path.rglob("*.zip")), _read)


def _read(file: Path) -> Iterator[LoggedRun]:
    read_bytes(file)
    rows, metadata, name = Rows(), {}, file.stem
    try:
        with zipfile.ZipFile(file) as archive:
            lines = archive.read("messages.json").decode().splitlines()
        for line in lines:
            message = json.loads(line)
            content = message["payload"]
            if message["type"] == "log_other" and content["key"] == "Name":
                name = content["value"]
            elif message["type"] == "parameter_msg" and content["param"]["source"] == "manual":
                parameter = content["param"]
                if isinstance(parameter["paramValue"], str | int | float):
                    metadata[parameter["paramName"]] = parameter["paramValue"]
            elif message["type"] == "metric_msg":
                metric, context = content["metric"], content.get("context")
                series = f"{context}_{metric['metricName']}" if context else metric["metricName"]
                stamp, step = content.get("local_timestamp"), metric["step"]
                time = None if stamp is None else stamp / 1000
                for key, value in numbers(series, metric["metricValue"]):
                    rows.add(key, step, value, time)
                if metric.get("epoch") is not None:
                    rows.add("epoch", step, metric["epoch"])
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        raise TrajlabError(f"{file} is no archive of Comet's ({error})") from error
    yield rows.run(name, metadata)
