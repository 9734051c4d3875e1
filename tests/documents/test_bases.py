"""The search for the base of a table of positions counts what rounding explains."""

import numpy as np
import pytest

from numtx.documents.d003_encoder import misfits, positions
from numtx.documents.judges import rounding_of
from numtx.examples import weather as w


@pytest.mark.parametrize("base", [10.0, 63.0, 100.0, 104.5, 200.0, 10_000.0])
@pytest.mark.parametrize(("raised", "ways"), [(True, {"off"}), (False, {"off", "raised"})])
def test_every_entry_is_counted(base, raised, ways):
    pairs = zip(np.ravel(w.POSITIONS), positions(4, base).flat, strict=True)
    assert misfits(base, raised) == sum(rounding_of(s, c, 2) in ways for s, c in pairs)
