"""Scaled angles: numbers known from released models, both statements of them, and their limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from numtx import Batch, Config, forward, initialise
from numtx.cache import Cache
from numtx.config.rotary import (
    PLAIN_SCALINGS,
    BandScaling,
    LinearScaling,
    LongropeScaling,
    YarnScaling,
)
from numtx.errors import BatchError, ConfigError
from numtx.formulas.angles import lengthening, score_lengthening, turn_of
from numtx.ops.angles import attention_factor, frequencies
from numtx.ops.positions import rotate_forward, rotation
from numtx.step import step

# width, base, scaling, the factor on cosine and sine, and some frequencies by pair
KNOWN = [
    (
        64, 150000.0, YarnScaling(factor=32.0, original=4096, truncate=False), 1.3465735902799727,
        {0: 1.0, 8: 5.0813274815e-2, 9: 3.1705696185e-2, 12: 6.7949594897e-3,
         17: 1.2931870125e-4, 18: 3.8308812374e-5, 31: 3.0235114281e-7},
    ),
    (
        64, 1e4, YarnScaling(factor=40.0, original=4096, mscale=1.0, mscale_all_dim=1.0), 1.0,
        {0: 1.0, 10: 5.6234132519e-2, 11: 3.9006926567e-2, 16: 5.5e-3, 22: 1.7782794100e-4,
         23: 3.3338035804e-5, 31: 3.3338035804e-6},
    ),
    (
        128, 5e5, BandScaling(factor=8.0, original=8192), 1.0,
        {0: 1.0, 28: 3.2114459948e-3, 29: 2.1665707635e-3, 31: 8.5675141292e-4,
         34: 1.7850781277e-4, 35: 9.5562123540e-5, 63: 3.0689259889e-7},
    ),
]  # fmt: skip
OTHERS = [
    (8, 100.0, YarnScaling(factor=4.0, original=64, beta_fast=4.0, beta_slow=0.5, truncate=False)),
    (6, 10.0, YarnScaling(factor=0.5, original=9, attention_factor=0.7)),
    (2, 1e4, YarnScaling(factor=4.0, original=32, mscale=0.707)),
    (4, 7.0, LongropeScaling(short=(1.0, 2.0), long=(3.0, 4.0), original=8, length=9, factor=4.0)),
    (4, 7.0, LongropeScaling(short=(1.0, 2.0), long=(3.0, 4.0), original=8, attention_factor=2.0)),
    *((2, 1e4, scaling) for scaling in PLAIN_SCALINGS),
]


@pytest.mark.parametrize(("width", "base", "scaling", "factor", "some"), KNOWN)
def test_known_frequencies(width, base, scaling, factor, some):
    found = frequencies(width, base, scaling)
    assert found[list(some)] == pytest.approx(list(some.values()), rel=1e-10)
    assert attention_factor(scaling) == pytest.approx(factor, rel=1e-14)


@pytest.mark.parametrize(("width", "base", "scaling"), [*(k[:3] for k in KNOWN), *OTHERS])
def test_the_oracle_says_the_same_in_its_own_words(width, base, scaling):
    found = [turn_of(pair, width, base, scaling) for pair in range(width // 2)]
    assert [turn for turn, _ in found] == pytest.approx(
        frequencies(width, base, scaling), rel=1e-13
    )
    for turn, text in found:
        assert eval(text) == pytest.approx(turn, rel=1e-12)
    assert lengthening(scaling) == pytest.approx(attention_factor(scaling), rel=1e-14)


def test_factors_known_from_released_models():
    assert YarnScaling(factor=4.0, original=32768).attention == pytest.approx(1.1386294361)
    assert YarnScaling(factor=40.0, original=1, mscale=0.707).attention == pytest.approx(1.36888795)
    longrope = LongropeScaling(short=(1.0,), long=(1.0,), original=4096, factor=32.0)
    assert longrope.attention == 1.1902380714238083
    both = YarnScaling(factor=40.0, original=4096, mscale=1.0, mscale_all_dim=1.0)
    fields = {"model": "decoder-only", "width": 8, "decoder_layers": 1, "hidden": 4}
    config = Config(
        **fields, vocabulary=5, heads=1, key_width=128, positions="rotary", rotary_width=64,
        key_value_latent=4, rotary_scaling=both,
    )  # fmt: skip
    assert config.latent_scale == pytest.approx(0.1352337788608801, rel=1e-14)
    assert score_lengthening(both) == pytest.approx(both.latent_factor, rel=1e-15)


def test_a_factor_of_one_and_a_ramp_within_the_training_change_nothing():
    plain = frequencies(8, 100.0)
    for scaling in (
        LinearScaling(factor=1.0),
        BandScaling(factor=1.0, original=8),
        YarnScaling(factor=1.0, original=8),
        LongropeScaling(short=(1.0,) * 4, long=(9.0,) * 4, original=8, length=8),
    ):
        assert frequencies(8, 100.0, scaling) == pytest.approx(plain, rel=1e-15)
        assert attention_factor(scaling) == 1.0


def test_cosine_and_sine_are_lengthened_together():
    scaling = YarnScaling(factor=4.0, original=32)
    x = np.random.default_rng(0).standard_normal((1, 1, 3, 4))
    turned = rotate_forward(
        x, rotation(np.array([[0, 7, 90]]), 4, 10.0, "half", "float64", scaling)
    )
    sizes = np.linalg.norm(turned, axis=-1) / np.linalg.norm(x, axis=-1)
    assert sizes == pytest.approx(np.full((1, 1, 3), 1.0 + 0.1 * math.log(4.0)))


LONG = {"kind": "longrope", "short": [1.0], "long": [3.0], "original": 4}


def model(**more):
    return Config(
        model="decoder-only", width=4, decoder_layers=1, hidden=3, vocabulary=5, positions="rotary",
        rotary_width=2, rotary_scaling={**LONG, **more},
    )  # fmt: skip


def test_a_text_or_a_cache_that_crosses_the_length_of_a_run_is_refused_and_nothing_is_added():
    config = model()
    parameters = initialise(config, 0)
    forward(config, parameters, Batch([[1, 2, 3, 4]]))
    with pytest.raises(BatchError, match="positions reach 4, and rotary_scaling is that of texts"):
        forward(config, parameters, Batch([[1, 2, 3, 4, 1]]))
    cache = Cache(config, parameters, 1)
    step(config, parameters, Batch([[1, 2, 3, 4]]), cache)
    with pytest.raises(BatchError, match="at most 4 tokens; its `length`"):
        step(config, parameters, Batch([[1]]), cache)
    assert cache.lengths.tolist() == [4]
    longer = model(length=9)
    forward(longer, parameters, Batch([[1, 2, 3, 4, 1]]))
    first = forward(longer, parameters, Batch([[1, 2, 3]]))[0].logits
    assert not np.allclose(first, forward(config, parameters, Batch([[1, 2, 3]]))[0].logits)


@pytest.mark.parametrize(
    ("scaling", "told"),
    [
        ({"kind": "dynamic"}, "it is an object whose kind is one of 'linear', 'llama3', 'yarn'"),
        (2.0, "it is an object whose kind is one of"),
        ({"kind": "linear"}, "field 'factor' is missing; it has no default"),
        ({"kind": "linear", "factor": 0}, "linear factor is 0; it is above 0"),
        ({"kind": "linear", "fact": 2}, "unknown field 'fact'; did you mean 'factor'"),
        ({"kind": "llama3", "factor": 2, "original": 8, "low": 4}, "low 4 is not below high 4"),
        ({**LONG, "long": [1, 2]}, "short has 1 numbers and long 2"),
        ({**LONG, "long": "1"}, "longrope long is '1'; it is a list of finite numbers, above 0"),
        (
            {**LONG, "short": [1, 2], "long": [1, 2]},
            "rotary_width 2; there is one a pair of rotated components",
        ),
    ],
)
def test_what_is_no_scaling_is_one_line(scaling, told):
    with pytest.raises(ConfigError, match=told):
        Config(**{**model().to_dict(), "rotary_scaling": scaling})


def test_a_scaling_goes_to_json_and_back():
    for scaling in (*PLAIN_SCALINGS, (None, PLAIN_SCALINGS[0])):
        config = Config(**{**model().to_dict(), "decoder_layers": 2, "rotary_scaling": scaling})
        assert Config.from_dict(config.to_dict()) == config and config.rotary_scaling == scaling
