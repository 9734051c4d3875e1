"""Small random models of transformers, and their logits and gradients beside numtx's.

Run as a program, in a process of its own: `outside_families.py wide|shipped FOLDER` prints a line
of JSON, what is wrong with each family. `wide` binds float32 to float64 before any model is
imported, so that what transformers takes in float32 whatever the type (angles, norms, softmax) is
taken in float64 and the formulas are compared alone; `shipped` also writes folders, which
transformers loads.
"""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from family_models import FAMILIES

# BLOOM's own constant in its GELU, 0.79788456, has eight digits of sqrt(2 / pi).
CLOSE = {"bloom": 1e-8}
IDS = np.array([[1, 5, 5, 2, 9, 4, 7, 3, 11, 6, 8], [3, 0, 10, 4, 6, 1, 1, 2, 8, 9, 5]])
TARGET = np.array([[2, 7, 4, 1, 10, 9], [2, 3, 3, 8, 0, 11]])


def widen() -> None:
    """Make transformers take in float64 what it takes in float32."""
    import torch

    torch.set_default_dtype(torch.float64)
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    torch.FloatTensor = torch.DoubleTensor


def built(name: str) -> Any:
    """A random model, gains and biases too, in float64 and without dropout."""
    import torch
    import transformers

    kind, fields = FAMILIES[name]
    model_class = getattr(transformers, kind)
    torch.manual_seed(3)
    config = model_class.config_class(**fields)
    config._attn_implementation = config._experts_implementation = "eager"
    model = model_class(config, **options_of(name)).double().eval()
    generator = torch.Generator().manual_seed(5)
    learned = (p for p in model.parameters() if p.requires_grad)
    tensors = [*learned, *(b for n, b in model.named_buffers() if n.endswith("_bias"))]
    with torch.no_grad():
        for tensor in tensors:
            tensor += 0.1 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
    return model


def options_of(name: str) -> dict[str, bool]:
    return {"add_pooling_layer": False} if name.endswith("-unpooled") else {}


def ids_for(name: str) -> np.ndarray:
    """Token ids; without that of the padding, where positions depend on it."""
    return np.where(IDS == 1, 12, IDS) if name.startswith("roberta") else IDS


def sound_and_picture(model: Any) -> tuple[Any, Any]:
    """Two rows of the features of a sound, and two pictures, for the models that take them."""
    import torch

    config, draw = model.config, torch.Generator().manual_seed(11)
    sizes = (getattr(config, name, 1) for name in ("num_mel_bins", "max_source_positions"))
    bins, length = sizes
    image = getattr(config, "image_size", 1)
    image = [image] * 2 if isinstance(image, int) else image
    noise = [torch.randn(2, *shape, generator=draw) for shape in ((bins, 2 * length), (3, *image))]
    return tuple(one.to(model.dtype) for one in noise)


def batch_for(name: str, model: Any) -> Any:
    """What a batch of numtx has in their place."""
    import torch

    from numtx import Batch

    sound, picture = sound_and_picture(model)
    with torch.no_grad():
        if name.startswith("whisper"):
            memory = model.get_encoder()(sound).last_hidden_state
            return Batch(memory=memory.numpy(), decoder_ids=TARGET)
        if name.startswith("vit"):
            own = getattr(model, "vit", model).embeddings
            first = own.cls_token.expand(2, -1, -1)
            return Batch(vectors=torch.cat([first, own.patch_embeddings(picture)], 1).numpy())
    ids = ids_for(name)
    return Batch(ids, TARGET) if model.config.is_encoder_decoder else Batch(ids)


def outputs_of(name: str, model: Any) -> dict[str, Any]:
    """What is compared, by the names of numtx: the logits; of a body what it ends in."""
    import torch

    ids, target = torch.tensor(ids_for(name)), torch.tensor(TARGET)
    sound, picture = sound_and_picture(model)
    if name.startswith("whisper"):
        return {"logits": model(input_features=sound, decoder_input_ids=target).logits}
    if name == "vit-classifier":  # on the first vector of what the body gives
        last = model.vit(picture).last_hidden_state
        assert torch.equal(model(picture).logits, model.classifier(last[:, 0]))
        return {"encoder_output": last}
    if model.config.is_encoder_decoder:
        return {"logits": model(input_ids=ids, decoder_input_ids=target).logits}
    found = model(picture if name == "vit" else ids)
    if "logits" in found:
        return {"logits": found.logits}
    ends = {"encoder_output": found.last_hidden_state, "pooled": found.get("pooler_output")}
    return {end: x for end, x in ends.items() if x is not None}


def check_outputs(ours: Any, theirs: dict[str, Any], close: float) -> None:
    """Every output is the same, and what numtx ends in is among them."""
    assert {*ours.ends} <= theirs.keys(), ours.ends
    for end, expected in theirs.items():
        x = expected.detach().numpy()
        got, size = getattr(ours, end), np.abs(x).max()
        np.testing.assert_allclose(got, x, rtol=0, atol=close * size, err_msg=end)


def compare(name: str, folder: Path, close: float) -> None:
    """Outputs and every gradient of a saved model, within `close` of their scale."""
    import torch

    from numtx import backward, forward
    from numtx.checkpoints.folder import Folder

    model = built(name)
    model.save_pretrained(folder)
    opened = Folder(folder)
    config, parameters, _ = opened.read()
    batch = batch_for(name, model)
    theirs = outputs_of(name, model)
    outputs, context = forward(config, parameters, batch)
    check_outputs(outputs, theirs, close)

    noise = np.random.default_rng(7)
    cotangents = {end: noise.standard_normal(x.shape) for end, x in theirs.items()}
    torch.autograd.backward([*theirs.values()], [*map(torch.from_numpy, cotangents.values())])
    ours = backward(context, cotangents)
    ours.pop("memory", None)
    if (given := ours.pop("vectors", None)) is not None:  # the class token is the first of them
        ours["encoder.embedding"] = given[:, :1].sum(0)
    gradients = {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}
    table = opened.layout.of(gradients)  # in memory experts may be stored otherwise
    entries = table.entries(config)
    expected: dict[str, np.ndarray] = {}
    for stored, gradient in gradients.items():
        kind, place = table.place(stored, entries)
        if kind == "mapped":
            entries[place].into(expected, gradient, "float64", config.heads)
    buffers = {own for own in ours if own == "output.b" or own.endswith("router.correction")}
    lacking = ours.keys() - expected.keys() - buffers
    assert not lacking, lacking
    for own, gradient in expected.items():
        size = max(1.0, float(np.abs(gradient).max()))
        np.testing.assert_allclose(ours[own], gradient, rtol=0, atol=10 * close * size, err_msg=own)


def write_again(name: str, folder: Path) -> None:
    """What was read in float32 is written with the same bytes."""
    from numtx.checkpoints.folder import Folder, write_model
    from numtx.safetensors import read_header

    built(name).float().save_pretrained(folder)
    opened = Folder(folder)
    config, parameters, _ = opened.read()
    again = folder / "again"
    write_model(again, config, parameters, opened.layout.name, source=opened)
    before, after = (read_header(f / "model.safetensors") for f in (folder, again))
    kinds = ("mapped", "carried")
    kept = [stored for stored, place in opened.places.items() if place.kind in kinds]
    assert len(kept) == len(after)
    for stored in kept:
        wanted, got = before[stored], after[opened.places[stored].name]
        assert wanted.shape == got.shape, stored
        assert wanted.read(stored).tobytes() == got.read(stored).tobytes(), stored


def read_stacked(name: str, folder: Path) -> None:
    """Experts stored as they are in memory, all in one tensor, are the same model."""
    from numtx.checkpoints.folder import Folder

    model, separate = built(name).float(), Folder(folder)
    if separate.layout.stacked:
        model.save_pretrained(folder / "stacked", save_original_format=False)
        other = Folder(folder / "stacked")
        assert other.layout.rows != separate.layout.rows or "dense" in name
        for (own, wanted), (_, got) in zip(
            separate.read().parameters.items(), other.read().parameters.items(), strict=True
        ):
            np.testing.assert_array_equal(wanted, got, err_msg=own)


def write_own(name: str, folder: Path) -> None:
    """A model of numtx is loaded by transformers, whole, and computes the same."""
    import dataclasses

    import torch
    import transformers

    from numtx import forward, initialise
    from numtx.checkpoints.folder import Folder, write_model

    read = Folder(folder)
    config = dataclasses.replace(read.config, dtype="float64")
    assert bool(read.notes) == bool(read.layout.carried), read.notes
    noise = np.random.default_rng(3)
    parameters = {
        own: array + 0.1 * noise.standard_normal(array.shape)
        for own, array in initialise(config, 1).items()
    }
    source = {"source": read, "stored": "F64"} if read.layout.carried else {}
    write_model(folder / "own", config, parameters, read.layout.name, **source)
    model, found = getattr(transformers, FAMILIES[name][0]).from_pretrained(
        folder / "own",
        output_loading_info=True,
        attn_implementation="eager",
        **options_of(name),
    )
    model.config._experts_implementation = "eager"  # the grouped products take no float64
    assert not any(found.values()), found
    batch = batch_for(name, model)
    theirs = outputs_of(name, model.eval())
    assert {x.dtype for x in theirs.values()} == {torch.float64}
    check_outputs(forward(config, parameters, batch)[0], theirs, 5e-6)


def wrong_with(name: str, how: str, folder: Path) -> str:
    """What is wrong with a family; empty: nothing."""
    try:
        compare(name, folder, CLOSE.get(name, 1e-10) if how == "wide" else 5e-6)
        if how == "shipped":
            write_again(name, folder)
            read_stacked(name, folder)
            write_own(name, folder)
    except Exception:
        return traceback.format_exc()
    return ""


def main(how: str, place: str) -> None:
    if how == "wide":
        widen()
    warnings.simplefilter("ignore")
    print(json.dumps({name: wrong_with(name, how, Path(place) / name) for name in FAMILIES}))


if __name__ == "__main__":
    main(*sys.argv[1:])
