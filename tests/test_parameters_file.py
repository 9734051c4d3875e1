"""Parameters in a file: checked against the configuration before they are taken."""

from pathlib import Path

import numpy as np
import pytest

from numtx import Batch, Config, forward, initialise, load_parameters, save_parameters
from numtx.errors import ParameterError

CONFIG = Config(
    model="decoder-only", width=6, decoder_layers=1, heads=2, hidden=5, vocabulary=7,
    tied_output=True,
)  # fmt: skip


def test_saved_and_loaded_gives_the_same_logits_bit_for_bit(tmp_path: Path) -> None:
    parameters = initialise(CONFIG, 3)
    save_parameters(tmp_path / "p.npz", parameters)
    loaded = load_parameters(tmp_path / "p.npz", CONFIG)
    assert list(loaded) == list(parameters)
    batch = Batch([[1, 2, 3]])
    before, _ = forward(CONFIG, parameters, batch)
    after, _ = forward(CONFIG, loaded, batch)
    assert before.logits.tobytes() == after.logits.tobytes()
    assert "output.w" not in loaded  # tying is kept


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.pop("decoder.0.self_attention.w_q"), "w_q.*missing"),
        (lambda p: p.update(extra=np.zeros(3)), "'extra' is not a parameter"),
        (lambda p: p.update({"decoder.embedding": np.zeros((8, 6))}), r"\(8, 6\).*\(7, 6\)"),
        (lambda p: p.update({"decoder.embedding": np.zeros((7, 6), int)}), "int64.*floats"),
        (lambda p: p.update({"output.b": np.full(7, np.nan)}), r"nan at \(0,\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, change, words: str) -> None:
    parameters = initialise(CONFIG, 3)
    change(parameters)
    save_parameters(tmp_path / "p.npz", parameters)
    with pytest.raises(ParameterError, match=words) as caught:
        load_parameters(tmp_path / "p.npz", CONFIG)
    assert "p.npz" in str(caught.value)
