"""The generalization gap at matched training loss."""

from trajlab.analysis.gap.gap import Gap, gap

__all__ = ["Gap", "gap"]
