"""Models of `transformers`, right and with one mistake each: the law that names it is broken."""

from __future__ import annotations

import copy
import warnings
from functools import partial

import pytest

from numtx.testing import check, subject

torch = pytest.importorskip("torch")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    transformers = pytest.importorskip("transformers")
    from families import make

pytestmark = pytest.mark.filterwarnings("ignore")


def before(change):
    """A mistake in what a model is given; `change` is called with the arguments and the number of
    columns that the cache holds."""

    def plant(model, patch):
        right = model.forward

        def forward(**given):
            cache = given.get("cache")
            return right(**change(dict(given), 0 if cache is None else cache.get_seq_length()))

        patch.setattr(model, "forward", forward)

    return plant


@before
def mask_without_the_past(given, past):
    mask = given["attention_mask"].clone()
    mask[:, :past] = 0
    return {**given, "attention_mask": mask}


@before
def positions_of_the_batch(given, past):
    return {**given, "position_ids": given["position_ids"][:1].expand_as(given["input_ids"])}


@before
def rotation_from_the_wrong_offset(given, past):
    return {**given, "position_ids": given["position_ids"] - int(past > 0)}


def window_one_off(model, patch):
    patch.setattr(model.config, "sliding_window", model.config.sliding_window + 1)


def ring_overwritten_too_early(model, patch):
    """What is evicted by a chunk is gone before the chunk has read it."""
    layer = transformers.cache_utils.DynamicSlidingWindowLayer
    right = layer.update

    def update(self, *given, **options):
        found = [states.clone() for states in right(self, *given, **options)]
        for states in found:
            evicted = states.shape[-2] - self.sliding_window + 1
            if evicted > 0:
                states[:, :, :evicted] = states[:, :, -evicted:].clone()
        return tuple(found)

    patch.setattr(layer, "update", update)


def beams_reordered_in_one_layer(model, patch):
    def reorder(self, index):
        self.layers[0].reorder_cache(index)
        for layer in self.layers[1:]:
            layer.batch_select_indices(torch.arange(len(index)) % len(layer.keys))

    patch.setattr(transformers.DynamicCache, "reorder_cache", reorder)


def bias_dropped_in_decode(model, patch):
    for layer in model.model.layers:
        linear = layer.self_attn.v_proj

        def forward(x, linear=linear):
            bias = linear.bias if x.shape[1] > 1 else None
            return torch.nn.functional.linear(x, linear.weight, bias)

        patch.setattr(linear, "forward", forward)


def tail_of_a_draft_kept(model, patch):
    right = transformers.DynamicCache.crop

    def crop(self, count):
        kept = self.layers[0].keys[..., -1:, :].clone()
        right(self, count)
        self.layers[0].keys[..., -1:, :] = kept

    patch.setattr(transformers.DynamicCache, "crop", crop)


def shift(model, cache, keep, drop, turned=True):
    """Drop the tokens after the first, and turn the keys of those behind them."""
    inverse = model.model.rotary_emb.inv_freq
    for layer in cache.layers:
        kept = [*range(keep), *range(keep + drop, layer.keys.shape[2])]
        layer.keys, layer.values = layer.keys[:, :, kept], layer.values[:, :, kept]
        moved = torch.tensor([0.0 if column < keep else -float(drop) for column in kept])
        angles = moved[:, None] * torch.cat([inverse, inverse])
        first, second = layer.keys.chunk(2, -1)
        if turned:
            layer.keys = layer.keys * angles.cos() + torch.cat([-second, first], -1) * angles.sin()
    return cache


def speculate(model, ids, draft, max_new_tokens, ties=False):
    """Drafts are verified in one call; what was rejected is cut from the cache."""
    end, seen, cache = ids.shape[1] + max_new_tokens, 0, None
    while (room := end - ids.shape[1]) > 0:
        proposed = draft(ids, room)[:, : room - 1]
        whole = torch.cat([ids, proposed], 1)
        found = model(input_ids=whole[:, seen:], cache=cache, use_cache=True)
        rows, cache, accepted = found.logits[0, -1 - proposed.shape[1] :], found.cache, 0
        for row, token in zip(rows, proposed[0], strict=False):
            if token != row.argmax() and not (ties and row[token] == row.max()):
                break
            accepted += 1
        seen = ids.shape[1] + accepted
        ids = torch.cat([whole[:, :seen], rows[accepted].argmax().view(1, 1)], 1)
        if whole.shape[1] > seen:
            cache.crop(seen - whole.shape[1])
    return ids[:, -max_new_tokens:]


def shift_without_turning(model, patch):
    patch.setattr(model, "shift", partial(shift, model, turned=False))


def a_tie_accepted(model, patch):
    patch.setattr(model, "speculate", partial(speculate, model, ties=True))


def able(name):
    """Every word is there twice, so that logits tie; with a shift and a speculation of its own."""
    model = loud(name)
    rows = model.lm_head.weight.data
    rows[1::2] = rows[: rows.shape[0] - 1 : 2]
    model.shift, model.speculate = partial(shift, model), partial(speculate, model)
    return model


def loud(name):
    """Attention is next to even with the package's small weights, and its biases are 0."""
    model = make(name)
    with torch.no_grad():
        for parameter, values in model.named_parameters():
            if parameter.endswith("bias"):
                values.normal_()
            elif values.ndim > 1:
                values.mul_(8.0)
    return model


@pytest.mark.parametrize(
    ("family", "plant", "laws"),
    [
        ("Llama", mask_without_the_past, "C1"),
        ("GPT-2", positions_of_the_batch, "B1-mask"),
        ("BLOOM", mask_without_the_past, "C1"),
        ("Mistral", window_one_off, "K5"),
        ("Mistral", ring_overwritten_too_early, "C1 K2"),
        ("Gemma 3", ring_overwritten_too_early, "C1 K2"),
        ("GPT-2", beams_reordered_in_one_layer, "C5"),
        ("Qwen2", bias_dropped_in_decode, "C1"),
        ("Llama", rotation_from_the_wrong_offset, "C1"),
        ("Qwen3", tail_of_a_draft_kept, "C4 C13"),
        ("Llama", shift_without_turning, "C15"),
        ("Phi-3", shift_without_turning, "C15"),
        ("Llama", a_tie_accepted, "D9"),
        ("Qwen3", a_tie_accepted, "D9"),
    ],
)
def test_a_wrong_copy_is_broken_by_the_law_that_names_it(family, plant, laws, monkeypatch):
    of_its_own = {"C15": "C14 D9", "D9": "C14 C15"}.get(laws, "")
    asked = [*laws.split(), *of_its_own.split(), "K1", "B2"]
    model = able(family) if of_its_own else loud(family)
    own = subject(model)
    assert check(own, asked, examples=25, shrink=False).ok
    plant(model, monkeypatch)
    report = check(own, asked, examples=25, shrink=False)
    assert [r.law.name for r in report.broken] == laws.split() and not report.errors


class Prefixes:
    """A store of what requests began with, block by block; without `parent` a block is known by
    its own tokens and its place alone."""

    vocabulary_size, fixed_rows, block = 23, 1, 2

    def __init__(self, parent):
        self.model, self.parent, self.store = make("Llama"), parent, {}

    def __call__(self, ids):
        return self.run(ids, None, False).logits

    def run(self, ids, cache, use_cache=True):
        with torch.no_grad():
            return self.model(input_ids=torch.as_tensor(ids), cache=cache, use_cache=use_cache)

    def prefill(self, ids):
        cache, start = None, 0
        for end in range(self.block, ids.shape[1], self.block):
            first = 0 if self.parent else end - self.block
            key = (end, *ids[0, first:end].tolist())
            if key not in self.store:
                self.store[key] = self.run(ids[:, start:end], cache).cache
            cache, start = copy.deepcopy(self.store[key]), end
        return self.step(ids[:, start:], cache)

    def step(self, ids, cache):
        found = self.run(ids, copy.deepcopy(cache))
        return found.logits, found.cache


def test_a_prefix_that_is_known_without_its_parent_is_broken_by_the_law_of_state_between_calls():
    assert check(Prefixes(parent=True), ["C1", "C12", "K1"], examples=10, shrink=False).ok
    report = check(Prefixes(parent=False), ["C12", "K1"], examples=10, shrink=False)
    assert [r.law.name for r in report.broken] == ["C12"]
