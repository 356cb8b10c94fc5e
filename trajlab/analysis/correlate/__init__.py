"""Associations between quantities, over units that were varied independently."""

from trajlab.analysis.correlate.correlate import FAMILY, Correlation, correlate

__all__ = ["FAMILY", "Correlation", "correlate"]
