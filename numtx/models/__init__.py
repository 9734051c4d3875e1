"""The list of models: whoever wants to try something on all models takes them from here.

Each value of each field, each operation, each kind of attention with each kind of positions, and
each pair of mechanisms that is known to interact occurs in it, and no model is there for nothing;
a test computes both from the fields, the operations and the wiring as they are declared. A new
mechanism adds one entry. The models are tiny, and within one all sizes differ, so that an axis
taken for another fails; some are large in one respect, which its name says.
"""

from __future__ import annotations

import numpy as np

from ..config import Config
from ..parameters import initialise
from ..shapes import Array
from .both import BOTH
from .decoders import DECODERS
from .encoders import ENCODERS
from .entry import STORAGES, Model
from .experts import EXPERTS

__all__ = ["MODELS", "STORAGES", "Model", "parameters_of"]

MODELS: dict[str, Model] = {**BOTH, **DECODERS, **ENCODERS, **EXPERTS}


def parameters_of(config: Config, seed: int = 7) -> dict[str, Array]:
    """Initialised parameters with some noise, so that no bias is 0 and no gain is 1."""
    generator = np.random.default_rng(seed)
    return {
        name: (array + 0.1 * generator.standard_normal(array.shape)).astype(array.dtype)
        for name, array in initialise(config, seed).items()
    }
