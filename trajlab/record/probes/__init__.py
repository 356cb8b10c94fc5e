"""One file a recorded quantity."""
