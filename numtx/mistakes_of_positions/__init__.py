"""The known mistakes of `compare` in positions: every file here enters its own into `CAUSES`."""

from importlib import import_module
from pkgutil import iter_modules

from ..mistakes import CAUSES

__all__ = ["CAUSES"]

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
