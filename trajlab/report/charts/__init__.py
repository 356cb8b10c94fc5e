"""Interactive figures: Vega-Lite specifications of results, and what draws them in a page."""
