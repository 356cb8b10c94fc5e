"""Pure numerics on a model and its losses: torch only, no files, no schedules."""
