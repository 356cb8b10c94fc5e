"""Gradients of single examples: norms, noise, Fisher information."""
