"""Attach to a training loop: what to measure, and when."""

from trajlab.record import probes
from trajlab.record.recorder import Recorder
from trajlab.record.schedule import log_spaced

__all__ = ["Recorder", "log_spaced", "probes"]
