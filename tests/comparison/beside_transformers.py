"""Models of transformers beside numtx, in a process of its own.

`beside_transformers.py wide|shipped` prints a line of JSON: of each family and demand, what was
compared and what is wrong. `wide` binds float32 to float64 before any model is imported, so that
what transformers takes in float32 whatever the type (angles, norms, softmax) is taken in float64
and formulas are compared alone, to 1e-10; `shipped` compares with it as it is.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from outside_models import FAMILIES, Family, built, parameters_of, tensors_of

from numtx import Batch, Cache, Config, backward, beam_search, forward, generate
from numtx.layouts.layout import Layout
from numtx.parameters import parameter_shapes
from numtx.step import step

SEEDS = (0, 1, 2)
ROWS, SHORT, LONG, TARGET = 2, 7, 20, 14
WIDE, SHIPPED = 1e-10, 5e-6
PADDED = 3  # tokens of padding before the second row


class Compared(NamedTuple):
    """A model on both sides."""

    model: Any
    config: Config
    layout: Layout
    seed: int
    close: float

    @property
    def both(self) -> bool:
        """Whether there are an encoder and a decoder."""
        return self.config.model == "encoder-decoder"

    def parameters(self, gradient: bool = False) -> dict[str, np.ndarray]:
        found = parameters_of(self.layout, self.config, tensors_of(self.model), gradient)
        if not gradient and "output.b" in parameter_shapes(self.config).keys() - found.keys():
            found["output.b"] = np.zeros(self.config.vocabulary)
        return found

    def batch(self, length: int, padded: bool = False) -> Batch:
        """Random tokens, but for the last of the vocabulary, which pads."""
        draw = np.random.default_rng(self.seed + 11)
        ids = draw.integers(0, self.config.vocabulary - 1, (ROWS, length))
        mask = np.ones(ids.shape, bool)
        mask[1, : PADDED * padded] = False
        ids = np.where(mask, ids, self.config.vocabulary - 1)
        target = draw.integers(0, self.config.vocabulary - 1, (ROWS, TARGET))
        segments = draw.integers(0, max(1, self.config.segments), ids.shape)
        # An encoder beside a decoder counts padding too.
        return Batch(
            ids, target if self.both else None, mask=mask if padded else None,
            positions=np.tile(np.arange(length), (ROWS, 1)) if self.both else None,
            segments=segments if self.config.segments else None,
        )  # fmt: skip

    def given(self, batch: Batch) -> dict[str, Any]:
        """The same for their model."""
        import torch

        found: dict[str, Any] = {"input_ids": torch.from_numpy(batch.ids)}
        if batch.decoder_ids is not None:
            found["decoder_input_ids"] = torch.from_numpy(batch.decoder_ids)
        if batch.segments is not None:
            found["token_type_ids"] = torch.from_numpy(batch.segments)
        if batch.mask is not None:
            found["attention_mask"] = torch.from_numpy(batch.mask.astype(np.int64))
            if "position_ids" in inspect.signature(self.model.forward).parameters:
                counted = np.maximum(np.cumsum(batch.mask, 1) - 1, 0)
                found["position_ids"] = torch.from_numpy(counted)
        return found

    @property
    def end(self) -> str:
        """What is compared: the logits, or the hidden states of a body."""
        return "encoder_output" if self.config.head is None else "logits"

    def outputs(self, batch: Batch) -> Any:
        """Theirs of it."""
        out = self.model(**self.given(batch))
        return out.last_hidden_state if self.config.head is None else out.logits

    def real(self, batch: Batch) -> np.ndarray:
        """Where there is something to compare."""
        if self.both or batch.mask is None:
            ids = batch.decoder_ids if self.both else batch.ids
            return np.ones(ids.shape, bool)
        return np.asarray(batch.mask)

    def agree(self, ours: Any, theirs: Any, what: str, scale: float = 0.0) -> None:
        scale = max(1.0, scale, float(np.abs(theirs).max()))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=self.close * scale, err_msg=what)

    def gradients(self, batch: Batch) -> None:
        """Outputs, and the gradients of all parameters for a random cotangent of the real ones."""
        import torch

        real, theirs = self.real(batch), self.outputs(batch)
        config = declared(self.config, np.shape(batch.ids)[1])
        outputs, context = forward(config, self.parameters(), batch)
        ours = getattr(outputs, self.end)
        self.agree(ours[real], theirs.detach().numpy()[real], self.end)
        cotangent = np.random.default_rng(7).standard_normal(theirs.shape) * real[..., None]
        cotangent = cotangent.astype(self.config.dtype)
        theirs.backward(torch.from_numpy(cotangent))
        found, expected = backward(context, cotangent), self.parameters(gradient=True)
        buffers = {"output.b", *(name for name in found if name.endswith(".correction"))}
        lacking = found.keys() - expected.keys() - buffers  # which have none
        assert not lacking and expected.keys() <= found.keys(), lacking
        # In float32 what cancels leaves some of what is largest; in float64 it would not show.
        scale = max(float(np.abs(gradient).max()) for gradient in expected.values())
        for name, gradient in expected.items():
            self.agree(found[name], gradient, name, scale if self.close == SHIPPED else 0.0)


def declared(config: Config, length: int) -> Config:
    """For texts of a length, where the scaling of angles asks for it."""
    record = config.rotary_scaling
    if not hasattr(record, "length"):
        return config
    return dataclasses.replace(config, rotary_scaling=dataclasses.replace(record, length=length))


# The demands: each compares, or gives back False where the configuration has nothing of the kind.


def gradients(one: Compared) -> bool:
    one.gradients(one.batch(SHORT))
    return True


def padding(one: Compared) -> bool:
    """With padding on the left."""
    one.gradients(one.batch(LONG, padded=True))
    return True


def window(one: Compared) -> bool:
    """Rows longer than a window, which changes what they give."""
    return _matters(one, "window", None)


def original(one: Compared) -> bool:
    """Rows longer than what a scaling of angles calls the length of the training."""
    every = one.config.values_of("rotary_scaling")
    lengths = [record.original for record in every if hasattr(record, "original")]
    longer = [length for length in lengths if length < LONG]
    return bool(longer) and _matters(one, "rotary_scaling", None)


def _matters(one: Compared, field: str, without: Any) -> bool:
    if all(value == without for value in one.config.values_of(field)):
        return False
    batch, parameters = one.batch(LONG), one.parameters()
    one.gradients(batch)
    own = declared(one.config, LONG)
    both = own, dataclasses.replace(own, **{field: without})
    far = [getattr(forward(config, parameters, batch)[0], one.end) for config in both]
    assert np.abs(far[0] - far[1])[:, -1].max() > 1e-3, f"{field} does not matter"
    return True


def cached(one: Compared) -> bool:
    """A prompt, a piece of three tokens and single ones: each step's logits, and the whole row's.

    A scaling that has another set of numbers beyond a length begins beyond it: theirs keeps keys
    that were turned by the other set.
    """
    import torch

    if "decoder" not in one.config.sides:
        return False
    one = one._replace(config=declared(one.config, LONG))
    batch, parameters = one.batch(LONG), one.parameters()
    whole = forward(one.config, parameters, batch)[0].logits
    ids = batch.decoder_ids if one.both else batch.ids
    cache, kept = Cache(one.config, parameters, ROWS), None
    given: dict[str, Any] = {"use_cache": True}
    if one.both:
        given["encoder_outputs"] = one.model.get_encoder()(torch.from_numpy(batch.ids))
    lengths = [_prompt(one.config), 3]
    lengths += [1] * (ids.shape[1] - sum(lengths))
    place, name = 0, "decoder_input_ids" if one.both else "input_ids"
    for number, length in enumerate(lengths):
        piece = ids[:, place : place + length]
        source = batch.ids if one.both and not number else None
        new = Batch(source, piece) if one.both else Batch(piece)
        ours = step(one.config, parameters, new, cache, every_position=True).logits
        theirs = one.model(**given, **{name: torch.from_numpy(piece)}, past_key_values=kept)
        kept = theirs.past_key_values
        one.agree(ours, theirs.logits.detach().numpy(), f"step {number}")
        one.agree(ours, whole[:, place : place + length], f"step {number} of the whole")
        place += length
    return True


def _prompt(config: Config) -> int:
    """Tokens of a prompt."""
    lengths = [getattr(record, "original", 0) for record in config.values_of("rotary_scaling")
               if getattr(record, "is_long", False)]  # fmt: skip
    return max([5, *(length + 1 for length in lengths)])


def generated(one: Compared) -> bool:
    """The texts of greedy search and of beams, with and without a cache, beside padding."""
    import torch

    if "decoder" not in one.config.sides:
        return False
    one = one._replace(config=declared(one.config, LONG))
    length = _prompt(one.config) + PADDED
    batch, parameters = one.batch(length, padded=True), one.parameters()
    new = LONG - length
    if one.both:
        batch = dataclasses.replace(batch, decoder_ids=np.zeros((ROWS, 1), int))
    end, pad = one.seed + 3, one.config.vocabulary - 1
    asked: dict[str, Any] = {
        "input_ids": torch.from_numpy(batch.ids), "max_new_tokens": new, "do_sample": False,
        "attention_mask": torch.from_numpy(np.asarray(batch.mask).astype(np.int64)),
        "eos_token_id": end, "pad_token_id": pad,
    }  # fmt: skip
    first = 1 if one.both else length
    searched = beam_search(
        one.config, parameters, batch, max_new_tokens=new, num_beams=3, eos=end
    ).new
    for use_cache in (True, False):
        greedy = generate(
            one.config, parameters, batch, max_new_tokens=new, eos=end, use_cache=use_cache
        ).new
        beams = {"num_beams": 3, "early_stopping": "never"}
        for ours, search in ((greedy, {}), (searched, beams)):
            theirs = one.model.generate(**asked, **search, use_cache=use_cache)
            texts = [row[first:].tolist() for row in theirs]
            texts = [row[: row.index(end) + 1] if end in row else row for row in texts]
            assert texts == ours, (search, use_cache, texts, ours)
    return True


def double(one: Compared) -> bool:
    """In float64 but for what they take in float32."""
    one.gradients(one.batch(LONG))
    return True


def single(one: Compared) -> bool:
    """In float32 on both sides."""
    config = dataclasses.replace(declared(one.config, LONG), dtype="float32")
    one = one._replace(model=one.model.float(), config=config)
    batch = one.batch(LONG)
    ours = getattr(forward(one.config, one.parameters(), batch)[0], one.end)
    assert ours.dtype == np.float32
    one.agree(ours, one.outputs(batch).detach().numpy(), f"{one.end} in float32")
    return True


DEMANDS: dict[str, dict[str, Callable[[Compared], bool]]] = {
    "wide": {
        "gradients": gradients, "padding": padding, "window": window, "original": original,
        "cached": cached, "generated": generated,
    },
    "shipped": {"float64": double, "float32": single},
}  # fmt: skip


def widen() -> None:
    """Make transformers take in float64 what it takes in float32."""
    import torch

    torch.set_default_dtype(torch.float64)
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    torch.FloatTensor = torch.DoubleTensor


def wrong_with(family: Family, demand: Callable[[Compared], bool], close: float) -> list[str]:
    """How many configurations were compared, with all seeds, and what is wrong."""
    asked, wrong = 0, []
    for number in range(len(family.fields)):
        for seed in SEEDS:
            try:
                model = built(family, number, seed)
                config, layout = family.ours(model.config)
                asked += demand(Compared(model, config, layout, seed, close))
            except Exception:
                wrong.append(f"configuration {number}, seed {seed}: {traceback.format_exc()}")
    return [str(asked), *wrong]


def main(how: str, *names: str) -> None:
    if how == "wide":
        widen()
    warnings.simplefilter("ignore")
    close = WIDE if how == "wide" else SHIPPED
    print(json.dumps({
        name: {
            demand: wrong_with(family, compare, close) for demand, compare in DEMANDS[how].items()
        }
        for name, family in FAMILIES.items() if not names or name in names
    }))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
