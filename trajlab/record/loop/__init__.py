"""The training loop as a recorder sees it."""
