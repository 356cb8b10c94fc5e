"""One file a setting: data, tasks, metrics, model, defaults, source."""

from pkgutil import resolve_name

from trajlab.training.setting import Setting

# Names as they are stored with runs; the modules are imported when their setting is asked for.
SETTINGS = {
    "digits": "trajlab.training.settings.digits:digits",
    "FashionMTL": "trajlab.training.settings.fashion_mtl:fashion_mtl",
}


def setting(name: str) -> Setting:
    """Return a setting by its name, a key of `SETTINGS`."""
    found: Setting = resolve_name(SETTINGS[name])
    return found
