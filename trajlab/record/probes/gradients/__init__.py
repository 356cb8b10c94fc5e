"""How task gradients are measured: in one pass, over one update, at the representation."""
