"""One figure an analysis result, returned as matplotlib Axes; never a file."""
