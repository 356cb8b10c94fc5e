"""Numbers recorded elsewhere, brought in as trajectory files."""
