"""What every mechanism of attention has to hold, on a batch with padding on the left."""

from __future__ import annotations

from typing import Any

import numpy as np
from samples import assert_close, config_of, random_parameters

from numtx import Batch, Cache, forward
from numtx.models import MODELS
from numtx.step import step

IDS, MASK = [[1, 2, 3, 4, 5], [0, 0, 6, 7, 2]], np.array([[1] * 5, [0, 0, 1, 1, 1]], bool)
LABELS = [[2, 3, 4, 5, 1], [-100, -100, 7, 2, 8]]


def token_by_token_is_the_whole(name: str) -> None:
    """A model of the list, with each storage that it is to be tried with."""
    config = config_of(name)
    p = random_parameters(config)
    both = config.model == "encoder-decoder"
    more: dict[str, Any] = {"decoder_ids": IDS, "decoder_mask": MASK} if both else {"mask": MASK}
    whole = forward(config, p, Batch(IDS, **more))[0].logits
    for storage in MODELS[name].storages:
        cache = Cache(config, p, 2, storage=storage)
        for t in range(5):
            new, seen = [[row[t]] for row in IDS], MASK[:, t : t + 1]
            batch = Batch(new, mask=seen)
            if both:
                batch = Batch(None if t else IDS, decoder_ids=new, decoder_mask=seen)
            logits = step(config, p, batch, cache, every_position=True).logits
            real = MASK[:, t]
            assert_close(logits[real, 0], whole[real, t], 1e-10)
