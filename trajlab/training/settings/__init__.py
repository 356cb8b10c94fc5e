"""One file a setting: data, tasks, metrics, model, defaults, source."""

from pkgutil import resolve_name

from trajlab.training.setting import Setting

# Names as they are stored with runs; the modules are imported when their setting is asked for.
SETTINGS = {
    "digits": "trajlab.training.settings.digits:digits",
    "yeast": "trajlab.training.settings.yeast:yeast",
    "water-quality": "trajlab.training.settings.water_quality:water_quality",
    "chem97": "trajlab.training.settings.chem97:chem97",
    "exam": "trajlab.training.settings.exam:exam",
    "mnists": "trajlab.training.settings.mnists:mnists",
    "multi-fashion": "trajlab.training.settings.multi_fashion:multi_fashion",
    "cifar-100": "trajlab.training.settings.cifar100:cifar100",
    "celeba": "trajlab.training.settings.celeba:celeba",
    "cityscapes": "trajlab.training.settings.cityscapes:cityscapes",
    "glue": "trajlab.training.settings.glue:glue",
    "translation": "trajlab.training.settings.translation:translation",
    "translation_low_resource": ("trajlab.training.settings.translation:translation_low_resource"),
    "FashionMTL": "trajlab.training.settings.fashion_mtl:fashion_mtl",
}


def setting(name: str) -> Setting:
    """Return a setting by its name, a key of `SETTINGS`."""
    chosen: Setting = resolve_name(SETTINGS[name])
    return chosen
