"""What analyses read from runs: groups, evaluations, recorded quantities."""
