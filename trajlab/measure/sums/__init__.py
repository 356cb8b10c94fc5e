"""Sums of gradients over micro-batches and processes."""
