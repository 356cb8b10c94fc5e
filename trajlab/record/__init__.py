"""Attach to a training loop: what to measure, and when."""
