"""What every analysis takes and returns: its options, its result, its tables' heads, its axis."""
