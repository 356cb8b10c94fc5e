"""The catalog of analyses and the self-contained HTML page."""
