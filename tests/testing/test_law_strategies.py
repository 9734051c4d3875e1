"""The strategies that laws draw from: what they give, shrink to and refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from samples import some

from numtx.batch import Batch, check_batch
from numtx.config import Config
from numtx.config.positions import POSITIONS
from numtx.config.wiring import MODELS
from numtx.fields.field import AnyOf, fields_of
from numtx.laws.strategies import (
    attention_masks,
    batches,
    cache_scripts,
    chunkings,
    configs,
    padding_masks,
    token_batches,
)

FEW = settings(
    max_examples=40, derandomize=True, database=None, deadline=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
FIND = settings(FEW, max_examples=300, phases=[Phase.generate, Phase.shrink])
FIRST = settings(FIND, phases=[Phase.generate])  # any example will do


def smallest(strategy, condition=lambda value: True):
    return find(strategy, condition, settings=FIND)


@FEW
@given(st.data())
def test_configurations_and_their_batches_are_valid(data):
    config = data.draw(configs())
    batch = data.draw(batches(config))
    assert isinstance(batch, Batch)
    check_batch(config, batch)


@pytest.mark.parametrize("positions", [*POSITIONS, None])
@pytest.mark.parametrize("model", MODELS)
def test_a_kind_can_be_asked_for(model, positions):
    @settings(FEW, max_examples=3)
    @given(configs(model, positions=positions))
    def asked(config):
        assert (config.model, config.positions) == (model, positions)

    asked()


def test_configurations_shrink_to_the_barest():
    first = smallest(configs("decoder-only", dtype="float64"))
    assert (first.decoder_layers, first.norm, first.positions) == (1, None, None)


def test_fields_that_no_rule_allows_together_are_an_error():
    with pytest.raises(InvalidArgument, match=r"no rule allows together: .'heads': 3"):
        smallest(configs(heads=3, key_value_heads=2))


@pytest.mark.parametrize("name", some(8, __name__, fields_of(Config)))
def test_every_value_that_a_field_draws_is_drawn(name):
    """Some configuration has it; and with all else of that fixed, the field takes it. So it is
    drawn when nothing is fixed, for every choice on the way was open."""
    for value in fields_of(Config)[name].draw:
        wanted = value.names[:1] if isinstance(value, AnyOf) else value
        config = find(configs(**{name: wanted}), lambda one: True, settings=FIRST)
        others = {other: v for other, v in vars(config).items() if other in fields_of(Config)}
        assert others.pop(name) == wanted
        for other, taken in others.items():
            draws = fields_of(Config)[other].draw
            assert taken in draws or (isinstance(taken, tuple) and isinstance(draws[-1], AnyOf))
        same = find(
            configs(**others), lambda one, v=wanted: getattr(one, name) == v, settings=FIRST
        )
        assert same == config


@FEW
@given(token_batches(7, longest=5, least=2))
def test_tokens_lie_in_the_vocabulary(ids):
    assert ids.dtype == np.int64 and 1 <= len(ids) <= 3 and 2 <= ids.shape[1] <= 5
    assert ids.min() >= 0 and ids.max() < 7


def test_tokens_shrink_to_one_row_of_the_shortest():
    assert smallest(token_batches(7, least=2)).shape == (1, 2)
    assert smallest(token_batches(7, rows=2)).shape == (2, 1)


@FEW
@given(st.data())
def test_every_row_of_a_padding_mask_has_a_real_token(data):
    rows, length = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 6))
    mask = data.draw(padding_masks(rows, length))
    assert mask.dtype == np.bool_ and mask.shape == (rows, length) and mask.any(1).all()


def test_padding_masks_are_of_every_kind_and_shrink_to_none():
    masks = padding_masks(2, 4)
    assert smallest(masks).all()
    assert smallest(masks, lambda mask: not mask[0, 0]).tolist()[1] == [True] * 4
    assert smallest(masks, lambda mask: not mask[0, -1] and mask[0, 0]) is not None
    holes = smallest(masks, lambda mask: not mask[1, 1] and mask[1, 0] and mask[1, 3])
    assert holes[0].all() and holes[1].sum() == 3
    left = smallest(padding_masks(1, 4, ["left"]))
    assert left.tolist() == [[False, True, True, True]]
    right = smallest(padding_masks(1, 4, ["right"]))
    assert right.tolist() == [[True, True, True, False]]


def test_attention_masks_leave_rows_blind_only_where_asked():
    blind = smallest(attention_masks(2, 3, 4), lambda mask: not mask.any(-1).all())
    assert (~blind.any(-1)).sum() == 1 and blind.shape == (2, 3, 4)
    assert smallest(attention_masks(2, 3, 4)).all()

    @FEW
    @given(attention_masks(2, 3, 4, blind=False))
    def never(mask):
        assert mask.any(-1).all()

    never()


@FEW
@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), chunkings(n))))
def test_chunks_make_the_whole(drawn):
    length, chunks = drawn
    assert sum(chunks) == length and min(chunks) >= 1


def test_chunks_shrink_to_one_and_come_in_every_way():
    assert smallest(chunkings(5)) == (5,)
    assert smallest(chunkings(3), lambda chunks: len(chunks) == 3) == (1, 1, 1)
    assert smallest(chunkings(5), lambda chunks: chunks[0] == 2) == (2, 3)


def test_a_long_prompt_comes_in_long_chunks_too():
    assert smallest(chunkings(34), lambda chunks: len(chunks) == 2 and min(chunks) > 15)
    assert max(action.size for action in smallest(
        cache_scripts(largest=17), lambda script: script[0].size > 16
    )) == 17  # fmt: skip


def test_scripts_begin_with_tokens_and_shrink_to_one():
    assert [str(a) for a in smallest(cache_scripts())] == ["append(cache 0, seed 0, size 1)"]
    kinds = smallest(cache_scripts(), lambda script: "truncate" in [a.kind for a in script])
    assert [action.kind for action in kinds] == ["append", "truncate"]


@FEW
@given(cache_scripts(["append", "fork"], longest=4))
def test_scripts_hold_what_they_are_asked_for(script):
    assert script[0].kind == "append" and len(script) <= 4
    assert {action.kind for action in script} <= {"append", "fork"}


@pytest.mark.parametrize(
    "strategy",
    [
        lambda: token_batches(0), lambda: token_batches(5, longest=2, least=3),
        lambda: padding_masks(2, 3, ["top"]), lambda: padding_masks(2, 3, []),
        lambda: chunkings(0), lambda: cache_scripts(["fork"]),
    ],
)  # fmt: skip
def test_what_they_refuse(strategy):
    with pytest.raises(InvalidArgument):
        smallest(strategy())
