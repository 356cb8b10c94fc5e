"""The page as a view that lives while training runs, served to this machine alone."""
