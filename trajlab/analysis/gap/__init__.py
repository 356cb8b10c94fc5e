"""The generalization gap at matched training loss."""

from trajlab.analysis.gap.gap import FAMILY, Gap, gap

__all__ = ["FAMILY", "Gap", "gap"]
