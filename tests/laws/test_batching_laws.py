"""B1 to B4 and W2 beyond what `numtx laws` says: of both stacks, of gradients, and of one table of
words for both stacks."""

from __future__ import annotations

import numpy as np
import pytest
from law_runs import TWO_STACKS, close, every_model, logits, padded_run, prefixes, run
from samples import among, config_of, ragged_batch, random_parameters

from numtx.laws.exactness import same

both_stacks = pytest.mark.parametrize("name", TWO_STACKS)
ROOM = 2  # more columns than a row needs


@both_stacks
def test_b1_other_rows_do_not_matter_to_either_stack(name: str) -> None:
    """Neither their tokens nor their padding."""
    config = config_of(name)
    own, given = random_parameters(config), ragged_batch(config, rows=3)
    other = dict(given)
    for side, prefix in prefixes(config).items():
        ids, mask = given[f"{prefix}ids"], given[f"{prefix}mask"].copy()
        tokens = (ids + 3) % config.vocabulary_of(side)
        tokens[1], mask[0, 0], mask[2, -1] = ids[1], False, False
        other |= {f"{prefix}ids": tokens, f"{prefix}mask": mask}
    first, second = logits(config, own, given), logits(config, own, other)
    assert same(first[1], second[1])
    assert not close(first[0], second[0])


@every_model
def test_b2_rows_in_another_order_give_outputs_in_that_order(name: str) -> None:
    """The loss and the gradients are the same."""
    config = config_of(name)
    own, first = random_parameters(config), padded_run(name)
    turned = {field: array[::-1] for field, array in ragged_batch(config).items()}
    second = run(config, own, turned)
    assert close(first["logits"][::-1], second["logits"])
    assert close(first["loss"], second["loss"])
    for own_name in own:
        gradient = f"parameters/{own_name}"
        assert close(first.grad(gradient), second.grad(gradient)), own_name


@every_model
@pytest.mark.parametrize("where", ["left", "right"])
def test_b3_padding_changes_nothing_wherever_it_is(name: str, where: str) -> None:
    """Of every stack; positions are counted over real tokens. Gradients are the same too."""
    config = config_of(name)
    own, given = random_parameters(config), ragged_batch(config, padding=None)
    start = slice(ROOM, None) if where == "left" else slice(None, -ROOM)
    wide = {}
    for field, array in given.items():
        filler = -100 if field == "labels" else 0
        wide[field] = np.full((len(array), array.shape[1] + ROOM), filler, array.dtype)
        wide[field][:, start] = array
    short, long = run(config, own, given), run(config, own, wide)
    assert close(long["logits"][:, start], short["logits"])
    assert close(long["loss"], short["loss"])
    for own_name in own:
        gradient = f"parameters/{own_name}"
        assert close(long.grad(gradient), short.grad(gradient)), own_name


@both_stacks
def test_b4_a_row_alone_is_the_row_in_the_batch(name: str) -> None:
    """With the padding of both stacks."""
    config = config_of(name)
    own, given = random_parameters(config), ragged_batch(config)
    together = padded_run(name)["logits"]
    for row in range(2):
        alone = {field: array[[row]] for field, array in given.items() if field != "labels"}
        assert close(logits(config, own, alone), together[[row]])


@pytest.mark.parametrize("name", among(lambda config: config.shared_embedding))
@pytest.mark.parametrize("tied", [False, True])
def test_w2_another_order_of_the_words_of_both_stacks_is_one_of_the_logits(
    name: str, tied: bool
) -> None:
    config = config_of(name, tied_output=tied)
    own, given = random_parameters(config), ragged_batch(config)
    del given["labels"]
    order = np.random.default_rng(6).permutation(config.vocabulary)
    place = np.argsort(order)
    moved = {
        own_name: array[order]
        if own_name == "embedding"
        else array[..., order]
        if own_name.startswith("output.")
        else array
        for own_name, array in own.items()
    }
    tokens = {f: place[array] if f.endswith("ids") else array for f, array in given.items()}
    assert close(logits(config, moved, tokens), logits(config, own, given)[..., order])
