"""Vectors in place of ids, and a memory in place of an encoder's run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from samples import assert_close, config_of, ragged_batch, random_parameters, some

from numtx import Batch, backward, forward
from numtx.batch import vectors_of
from numtx.check.verify import verify
from numtx.decoding.beam import beam_search
from numtx.decoding.generate import generate
from numtx.decoding.probability import sequence_log_probability
from numtx.decoding.record import record_generation
from numtx.errors import BatchError, DecodingError, MaskError
from numtx.models import MODELS
from numtx.parameters import check_parameters, initialise, parameter_shapes
from numtx.step import step
from numtx.subjects.own import NumtxSubject
from numtx.trace.files import load_trace, save_trace
from numtx.trace.trace import record

BOTH = "encoder-decoder"


def given(name):
    """A model of the list, and its batch with ids, and the same with rows of its tables."""
    config = config_of(name)
    p, batch = random_parameters(config, 3), Batch(**ragged_batch(config, 4))
    fields = {}
    for n, side in enumerate(config.sides):
        prefix = "decoder_" * n
        table = p["embedding" if config.shared_embedding else f"{side}.embedding"]
        fields |= {f"{prefix}vectors": table[getattr(batch, f"{prefix}ids")], f"{prefix}ids": None}
    return config, p, batch, replace(batch, **fields)


@pytest.mark.parametrize("name", some(6, __name__, MODELS, always=[BOTH]))
def test_rows_of_the_table_as_vectors_are_the_tokens(name):
    """Bit for bit, in values and gradients; and theirs, summed by id, is the table's."""
    config, p, batch, vectors = given(name)
    share = {} if config.head is not None else {"cotangent": {"encoder_output": 1.0}}
    if share:
        shape = forward(config, p, batch)[0].encoder_output.shape
        share = {"cotangent": {"encoder_output": np.cos(np.arange(np.prod(shape))).reshape(shape)}}
    first, second = record(config, p, batch, **share), record(config, p, vectors, **share)
    assert [n for n in first if n not in second] == [f"{s}.tokens" for s in config.sides]
    for stage in second:
        np.testing.assert_array_equal(second[stage], first[stage])
        if stage in second.gradients:
            assert_close(second.grad(stage), first.grad(stage), 0.0)
    assert verify(second).ok and list(second.graph.stages) == list(second)
    _, context = forward(config, p, vectors)
    gradients = backward(context, *share.values())
    expected = backward(forward(config, p, batch)[1], *share.values())
    for n, side in enumerate(config.sides):
        prefix, table = "decoder_" * n, f"{side}.embedding"
        if config.shared_embedding or config.tied_output:
            continue
        assert not gradients[table].any()
        summed = np.zeros_like(p[table])
        np.add.at(summed, getattr(batch, f"{prefix}ids"), gradients[f"{prefix}vectors"])
        assert_close(summed, expected[table], 1e-12)


def test_a_memory_is_what_the_encoder_would_give(tmp_path):
    config, p, batch, _ = given(BOTH)
    whole = record(config, p, batch)
    rest = replace(batch, ids=None, memory=whole["encoder.output"])
    part = record(config, p, rest)
    assert vectors_of(config, rest) == ("memory",) and list(part)[:2] == [
        "encoder.mask", "encoder.output",
    ]  # fmt: skip
    for stage in part:
        np.testing.assert_array_equal(part[stage], whole[stage])
        if stage in part.gradients:
            assert_close(part.grad(stage), whole.grad(stage), 0.0)
    gradients = backward(forward(config, p, rest)[1])
    assert_close(gradients["memory"], whole.grad("encoder.output"), 0.0)
    assert not any(g.any() for n, g in gradients.items() if n.startswith("encoder."))
    save_trace(part, tmp_path / "a.npz")
    assert load_trace(tmp_path / "a.npz").verify().ok


def without_encoder(config, p):
    """The decoder of a model alone, which looks at a memory that is given."""
    config = replace(config, encoder_layers=0, source_vocabulary=None)
    table = {} if config.tied_output else {"decoder.embedding": p["embedding"]}
    return config, {**{n: a for n, a in {**p, **table}.items() if n in parameter_shapes(config)}}


def test_a_decoder_without_an_encoder_is_that_of_the_whole(tmp_path):
    """Given the output of the encoder it gives the same, and its gradient; generating too."""
    config, p, batch, _ = given(BOTH)
    memory = record(config, p, batch)["encoder.output"]
    rest = replace(batch, ids=None, memory=memory)
    own, parameters = without_encoder(config, p)
    assert own.sides == ("decoder",) and own.lacks_encoder and not config.lacks_encoder
    whole, alone = record(config, p, rest), record(own, parameters, rest)
    assert list(alone) == list(whole) == list(alone.graph.stages)
    for stage in alone:
        np.testing.assert_array_equal(alone[stage], whole[stage])
        if stage in whole.gradients:
            assert_close(alone.grad(stage), whole.grad(stage), 0.0)
    gradients = backward(forward(own, parameters, rest)[1])
    assert_close(gradients["memory"], whole.grad("encoder.output"), 0.0)
    save_trace(alone, tmp_path / "a.npz")
    assert load_trace(tmp_path / "a.npz").verify().ok


@pytest.mark.parametrize("cached", [True, False])
def test_generation_from_a_memory_is_that_from_the_ids(cached):
    """Also in beams, and in the probability of what comes; every stage is the same."""
    config, p, batch, _ = given(BOTH)
    prompt = Batch(batch.ids, [[1, 2], [3, 4]], mask=batch.mask)
    memory = record(config, p, batch)["encoder.output"]
    rest = replace(prompt, ids=None, memory=memory)
    options = {"max_new_tokens": 3, "use_cache": cached}
    wanted, first = record_generation(config, p, prompt, **options)
    for model in ((config, p), without_encoder(config, p)):
        got, second = record_generation(*model, rest, **options)
        assert got.new == wanted.new and second.verify().ok
        assert list(second) == list(second.graph.stages)
        for stage in second:
            np.testing.assert_array_equal(second[stage], first[stage])
        beams = {"max_new_tokens": 3, "num_beams": 2}
        assert beam_search(*model, rest, **beams).new == beam_search(config, p, prompt, **beams).new
        pairs = zip(
            sequence_log_probability(*model, rest, got.new).per_token,
            sequence_log_probability(config, p, prompt, got.new).per_token, strict=True,
        )  # fmt: skip
        for one, other in pairs:
            assert_close(one, other, 1e-12)


def test_a_decoder_without_an_encoder_says_what_it_needs():
    config, p, _, _ = given(BOTH)
    own, parameters = without_encoder(config, p)
    memory = np.zeros((1, 2, 6))
    for fields, says in (
        ({}, "memory is missing; this model has no encoder"),
        ({"ids": [[1]]}, "memory is missing; this model has no encoder"),
        ({"memory": memory, "ids": [[1]]}, "there is no encoder: what is the decoder's is dec"),
        ({"memory": np.zeros((2, 2, 6))}, "memory has 2 rows and decoder_ids 1"),
    ):
        batch = Batch(decoder_ids=[[1, 2]], **fields)
        for run in (lambda b: forward(own, parameters, b), lambda b: step(own, parameters, b)):
            with pytest.raises(BatchError, match=says):
                run(batch)
    with pytest.raises(DecodingError, match="decoder_vectors given; generation goes on from ids"):
        generate(own, parameters, Batch(memory=memory, decoder_vectors=memory), max_new_tokens=1)


def test_laws_are_asked_of_a_decoder_with_what_it_lacks():
    """An encoder, and words where there is one only; its own parameters stay."""
    config, p, _, _ = given(BOTH)
    own, parameters = without_encoder(config, p)
    subject = NumtxSubject(own, parameters)
    assert subject.two_stacks and subject.new_memory(1, 4, 0) is not None
    alone = replace(config_of("bare"), vocabulary=1)
    for model, before in ((subject, parameters), (NumtxSubject(alone, initialise(alone)), {})):
        check_parameters(model.config, model.parameters)
        assert model.vocabulary_size > 1
        assert all(model.parameters[name] is array for name, array in before.items())


def test_what_stands_under_padding_reaches_nobody():
    config, p, batch, vectors = given(BOTH)
    wrong = vectors.vectors.copy()
    wrong[~np.asarray(batch.mask)] = np.nan
    before, after = (
        forward(config, p, one)[0] for one in (vectors, replace(vectors, vectors=wrong))
    )
    assert_close(after.logits, before.logits, 0.0)
    memory = before.encoder_output.copy()
    memory[~np.asarray(batch.mask)] = 1e300
    rest = replace(vectors, vectors=None, memory=memory)
    outputs, context = forward(config, p, rest)
    assert_close(outputs.logits, before.logits, 0.0)
    assert all(np.isfinite(g).all() for g in backward(context).values())


WRONG = [
    ({"vectors": np.zeros((1, 3, 5))}, r"vectors has shape \(1, 3, 5\); it should be \(rows, "),
    ({"vectors": np.zeros((3, 6))}, r"vectors has shape \(3, 6\)"),
    ({"vectors": [[[True] * 6]]}, r"vectors is bool .*; real numbers are needed"),
    ({"vectors": np.full((1, 2, 6), np.inf)}, r"vectors\[0,0,0\] is inf; only padding may"),
    ({"vectors": np.zeros((1, 2, 6)), "ids": [[1, 2]]}, "both ids and vectors; give one"),
    ({"memory": np.zeros((1, 2, 6)), "ids": [[1, 2]]}, "both memory and ids; the encoder does"),
    ({"memory": np.full((1, 2, 6), np.nan)}, r"memory\[0,0,0\] is nan"),
    ({"memory": np.zeros((2, 2, 6))}, "memory has 2 rows and decoder_ids 1"),
]


@pytest.mark.parametrize(("fields", "says"), WRONG)
def test_wrong_vectors_are_one_clear_line(fields, says):
    config = config_of(BOTH)
    with pytest.raises(BatchError, match=says):
        forward(config, random_parameters(config), Batch(decoder_ids=[[1, 2]], **fields))


def test_a_memory_that_is_all_padding():
    config = config_of(BOTH)
    batch = Batch(memory=np.zeros((1, 2, 6)), mask=[[False, False]], decoder_ids=[[1]])
    with pytest.raises(MaskError, match="row 0 has no real vector"):
        forward(config, random_parameters(config), batch)


def test_a_memory_is_for_a_model_that_looks_at_one():
    config = config_of("bare")
    with pytest.raises(BatchError, match="memory given to a model that is encoder-only"):
        forward(config, random_parameters(config), Batch([[1]], memory=np.zeros((1, 2, 6))))
