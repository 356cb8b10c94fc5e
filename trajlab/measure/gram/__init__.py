"""The Gram matrix of task gradients."""
