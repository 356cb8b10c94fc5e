"""Factors of generalization and how they differ from a baseline."""

from trajlab.analysis.factors.factors import FAMILY, Factors, factors

__all__ = ["FAMILY", "Factors", "factors"]
