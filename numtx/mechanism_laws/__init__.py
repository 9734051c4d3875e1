"""Laws of mechanisms that a model of numtx has or has not: each asks the models that have it.

Every file here enters its laws into the table.
"""

from importlib import import_module
from pkgutil import iter_modules

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
