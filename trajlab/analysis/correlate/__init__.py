"""Associations between quantities, over units that were varied independently."""

from trajlab.analysis.correlate.correlate import Correlation, correlate

__all__ = ["Correlation", "correlate"]
