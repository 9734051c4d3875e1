"""The known mistakes of backward passes: every file here enters its own into `SLIPS`."""

from importlib import import_module
from pkgutil import iter_modules

from .slip import SLIPS

__all__ = ["SLIPS"]

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
