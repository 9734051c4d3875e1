"""What a model is: fields by section, the rules between them, and `Config`, which has all."""

from .config import RULES as RULES
from .config import Config as Config
