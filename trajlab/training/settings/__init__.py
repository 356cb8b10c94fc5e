"""One file a setting: data, tasks, metrics, model, defaults, source."""
