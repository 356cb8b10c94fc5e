"""Factors of generalization and how they differ from a baseline."""

from trajlab.analysis.factors.factors import Factors, factors

__all__ = ["Factors", "factors"]
