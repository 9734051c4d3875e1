"""Files and names as people have them, held against a trace by the command itself."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from small_folders import config_of, parameters_of, written

from numtx import Batch, record
from numtx.cli import main
from numtx.families import LAYOUTS
from numtx.files import write_npz
from numtx.layouts.modules import stages_of_modules
from numtx.safetensors import write_tensors
from numtx.trace.files import save_trace
from numtx.trace.trace import Trace

Array = np.ndarray
OUT = "decoder.1.self_attention.output"


@pytest.fixture(autouse=True)
def no_cause(monkeypatch):
    """What explains a difference is no matter here, and takes its time."""
    monkeypatch.setattr("numtx.compare.compare.diagnose", lambda case, progress: [])
    monkeypatch.setattr("numtx.compare.compare.diagnose_gradient", lambda case: [])


def traced(folder: Path, name: str = "gpt2") -> Trace:
    config = config_of(name)
    ids, target = np.array([[1, 5, 2, 9], [3, 0, 10, 4]]), np.array([[2, 7, 4], [2, 3, 8]])
    batch = Batch(ids, labels=ids[:, ::-1].copy())
    if config.model == "encoder-decoder":
        batch = Batch(ids, target, labels=target[:, ::-1].copy())
    if config.head is None:
        batch = Batch(ids)
    trace = record(config, parameters_of(config), batch, gradients=config.head is not None)
    save_trace(trace, folder / "ours.npz")
    return trace


def compared(folder: Path, theirs: Path | str, *more: str) -> int:
    return main(["compare", str(folder / "ours.npz"), str(theirs), "--lang", "en", *more])


def write(path: Path, arrays: Mapping[str, Array], dtype: str = "F32") -> Path:
    """A file, or a folder, of arrays: what its name says."""
    if path.suffix == ".safetensors":
        made = {name: (x.shape, lambda x=x: x) for name, x in arrays.items()}
        write_tensors(path, made, dtype)
    elif path.suffix == ".npz":
        write_npz(path, arrays)
    else:
        for name, x in arrays.items():
            file = path / f"{name}.npy"
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, x)
    return path


@pytest.mark.parametrize("place", ["b.npz", "b.safetensors", "folder"])
def test_values_and_gradients_in_each_kind_of_file(tmp_path, capsys, place):
    trace = traced(tmp_path)
    arrays = {OUT: trace[OUT], f"grad/{OUT}": trace.grad(OUT), "logits": trace["logits"]}
    arrays["grad/parameters/decoder.norm.gain"] = trace.gradients["parameters/decoder.norm.gain"]
    file = write(tmp_path / place, arrays, "F64")
    assert compared(tmp_path, file) == 0
    assert capsys.readouterr().out.startswith("equal: 4 of ")
    arrays[OUT] = arrays[OUT] * 1.01
    assert compared(tmp_path, write(tmp_path / place, arrays, "F64")) == 1
    assert f"first difference: {OUT}" in capsys.readouterr().out


def test_a_trace_in_a_folder_is_one(tmp_path, capsys):
    traced(tmp_path)
    with np.load(tmp_path / "ours.npz") as file:
        folder = write(tmp_path / "apart", dict(file))
    assert main(["compare", str(folder), str(tmp_path / "ours.npz")]) == 0


def test_one_array_in_a_file_of_its_own(tmp_path, capsys):
    np.save(tmp_path / "logits.npy", traced(tmp_path)["logits"])
    assert compared(tmp_path, tmp_path / "logits.npy") == 0
    np.save(tmp_path / "logits.npy", np.zeros((2, 4, 13)))
    assert compared(tmp_path, tmp_path / "logits.npy") == 1


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_short_numbers_are_read_as_they_are(tmp_path, dtype):
    """bfloat16 as the float32 that holds the same numbers."""
    from numtx.array_files import open_arrays

    x = traced(tmp_path)["logits"].astype(np.float32)
    file = open_arrays(write(tmp_path / "b.safetensors", {"logits": x}, dtype))
    got, header = file.read("logits"), file.headers["logits"]
    assert got.dtype == header.dtype == {"F16": "float16"}.get(dtype, "float32")
    bits = got.view(np.uint32) if dtype == "BF16" else np.zeros(1, np.uint32)
    assert not (bits & 0xFFFF).any() and np.abs(got - x).max() < 0.02 * np.abs(x).max()


def test_ids_and_masks_in_safetensors(tmp_path, capsys):
    from small_folders import join

    trace = traced(tmp_path)
    ids, mask = np.asarray(trace["decoder.tokens"], "<i8"), np.asarray(trace["decoder.mask"])
    head = {
        "decoder.tokens": {"dtype": "I64", "shape": [2, 4], "data_offsets": [0, 64]},
        "decoder.mask": {"dtype": "BOOL", "shape": [2, 4], "data_offsets": [64, 72]},
    }
    join(tmp_path / "b.safetensors", head, ids.tobytes() + mask.tobytes())
    assert compared(tmp_path, tmp_path / "b.safetensors") == 0
    assert capsys.readouterr().out.startswith("equal: 2 of ")
    head["decoder.mask"]["dtype"] = "F8_E4M3"
    join(tmp_path / "b.safetensors", head, ids.tobytes() + mask.tobytes())
    assert compared(tmp_path, tmp_path / "b.safetensors") == 2
    assert "is F8_E4M3; save it as" in capsys.readouterr().err


# What is refused.


def pytorch(path: Path, old: bool) -> Path:
    if old:
        path.write_bytes(pickle.dumps({"a": 1}, 2))
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": 1}))
        archive.writestr("archive/data/0", b"1234")
    return path


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", ["w.pt", "w.pth", "pytorch_model.bin", "w.npz", "it's"])
def test_a_pytorch_file_is_refused_with_the_way_out(tmp_path, capsys, name, old):
    traced(tmp_path)
    file = pytorch(tmp_path / name, old)
    assert compared(tmp_path, file) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and f"{file}: a PyTorch file" in err
    lines = err.partition("convert it: ")[2]
    compile(lines.strip(), "two lines", "exec")
    assert "import numpy, torch; numpy.savez(" in lines and ".npz'" in lines.replace('"', "'")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def many(path: Path) -> None:
    """A folder in which two files have one name."""
    write(path, {"a/b": np.zeros(2), "a.b": np.zeros(2)})


def short(path: Path) -> None:
    write(path, {"logits": np.zeros((2, 4, 13))})
    file = path / "logits.npy"
    file.write_bytes(file.read_bytes()[:-8])


def huge(path: Path) -> None:
    """A header that asks for terabytes."""
    stream = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (2**40, 13)}
    np.lib.format.write_array_header_1_0(stream, header)
    path.mkdir()
    (path / "logits.npy").write_bytes(stream.getvalue() + b"\0" * 80)


def objects(path: Path) -> None:
    path.mkdir()
    np.save(path / "a.npy", np.array([{}], object), allow_pickle=True)


REFUSED = {
    "missing": (lambda path: None, "no such file"),
    "a FIFO": (fifo, "is no regular file"),
    "an empty folder": (lambda path: path.mkdir(), "a folder without .npy files"),
    "two files with a name": (many, "are both called 'a.b'"),
    "cut short": (short, "cut short"),
    "terabytes": (huge, "cut short; its shape is (1099511627776, 13)"),
    "objects": (objects, "holds Python objects"),
    "text": (lambda path: path.write_text("text " * 20), "not an .npz file"),
    "nothing in it": (lambda path: path.write_bytes(b""), "not an .npz file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_files_are_refused_in_one_line(tmp_path, capsys, case):
    traced(tmp_path)
    make, words = REFUSED[case]
    make(tmp_path / "b")
    assert compared(tmp_path, tmp_path / "b") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and words in err and str(tmp_path / "b") in err


# Names.


@pytest.mark.parametrize("name", ["gpt2", "llama", "phi3", "bert", "bart", "deepseek_v3"])
def test_names_of_a_family_are_read_and_said(tmp_path, capsys, name):
    """Outputs of modules as hooks give them, weights and gradients, in one file."""
    trace = traced(tmp_path, name)
    theirs: dict[str, Array] = {}
    for path, output in stages_of_modules(trace.config, LAYOUTS[name]).outputs.items():
        if not output.item and not output.heads:
            parts = [trace[stage] for stage in output.stages]
            merged = [x.swapaxes(1, 2).reshape(x.shape[0], x.shape[2], -1) if x.ndim == 4 else x
                      for x in parts]  # fmt: skip
            theirs[path] = np.concatenate(merged, -1)
    folder = written(tmp_path / "m", name)
    count = {*theirs}
    assert compared(tmp_path, write(tmp_path / "b.npz", theirs)) == 0
    out = capsys.readouterr().out
    assert "names read as those of" in out and "in b.npz:" not in out and len(count) > 10
    assert compared(tmp_path, folder / "model.safetensors") == 0
    assert f"equal: {len(trace.parameters)} of" in capsys.readouterr().out
    wrong = next(path for path in theirs if path.endswith(("1.mlp", "1.fc2", "1.output.dense")))
    theirs[wrong] = theirs[wrong] + 1.0
    assert compared(tmp_path, write(tmp_path / "b.npz", theirs)) == 1


def test_gradients_by_the_names_of_a_family(tmp_path, capsys):
    trace = traced(tmp_path)
    w_q = [trace.gradients[f"parameters/decoder.0.self_attention.w_{x}"] for x in "qkv"]
    theirs = {
        "transformer.h.0.attn.c_attn.weight.grad": np.concatenate(w_q, 1),
        "grad/transformer.h.1.attn.c_proj": trace.grad(OUT),
        "logits.grad": trace.grad("logits"),
    }
    assert compared(tmp_path, write(tmp_path / "b.npz", theirs)) == 0
    assert "equal: 5 of" in capsys.readouterr().out
    theirs["transformer.h.0.attn.c_attn.weight.grad"][:, 12:24] *= 2.0
    assert compared(tmp_path, write(tmp_path / "b.npz", theirs)) == 1
    out = capsys.readouterr().out
    assert "first difference: grad/parameters/decoder.0.self_attention.w_k" in out


def test_parameters_by_their_bare_names(tmp_path, capsys):
    """As `numtx init` writes them; `decoder.embedding` is a stage's name too."""
    trace = traced(tmp_path)
    assert compared(tmp_path, write(tmp_path / "b.npz", trace.parameters)) == 0
    assert f"equal: {len(trace.parameters)} of" in capsys.readouterr().out


def test_a_map_wins_over_the_tables(tmp_path, capsys):
    trace = traced(tmp_path)
    theirs = {"transformer.h.1.mlp": trace[OUT], "logits": trace["logits"]}
    write(tmp_path / "b.npz", theirs)
    assert compared(tmp_path, tmp_path / "b.npz") == 1
    (tmp_path / "map.json").write_text(f'{{"transformer.h.1.mlp": "{OUT}"}}')
    assert compared(tmp_path, tmp_path / "b.npz", "--map", str(tmp_path / "map.json")) == 0
    (tmp_path / "map.json").write_text('{"transformer.h.1.mlp": "transformer.h.1.attn"}')
    assert compared(tmp_path, tmp_path / "b.npz", "--map", str(tmp_path / "map.json")) == 0


def test_a_name_that_is_nearly_known_is_told(tmp_path, capsys):
    trace = traced(tmp_path)
    theirs = {"transformer.h.1.attn": trace[OUT], "transformer.h.1.mpl": trace[OUT]}
    assert compared(tmp_path, write(tmp_path / "b.npz", theirs)) == 0
    assert "transformer.h.1.mpl (did you mean 'transformer.h.1.mlp'?)" in capsys.readouterr().out


def test_two_arrays_for_a_stage(tmp_path, capsys):
    """The same twice is the same; another is told."""
    trace = traced(tmp_path)
    theirs = {"transformer.h.1.attn.c_proj": trace[OUT], "transformer.h.1.attn": trace[OUT]}
    assert compared(tmp_path, write(tmp_path / "b.npz", theirs)) == 0
    assert "transformer.h.1.attn" not in capsys.readouterr().out
    theirs[OUT] = trace[OUT]
    theirs["transformer.h.1.attn"] = trace[OUT] + 1.0
    for turned in (theirs, {name: theirs[name] for name in reversed(theirs)}):
        assert compared(tmp_path, write(tmp_path / "b.npz", turned)) == 1
        told = capsys.readouterr().out
        assert f"are both {OUT}, with other numbers; the one that is farther off" in told
        assert f"first difference: {OUT}" in told


def test_arrays_without_a_known_name_are_told_what_they_are_near_to(tmp_path, capsys):
    trace = traced(tmp_path)
    theirs = {"a": trace["decoder.1.self_attention.weights"] + 1e-3, "b": np.zeros((7, 7))}
    assert compared(tmp_path, write(tmp_path / "b.npz", theirs)) == 2
    err = capsys.readouterr().err
    assert 'such as {"a": "decoder.1.self_attention.weights"}' in err and err.count("\n") == 1


def test_names_of_a_family_that_the_configuration_is_not(tmp_path, capsys):
    traced(tmp_path, "bert")
    theirs = {f"transformer.h.{i}.mlp.c_fc.weight": np.zeros((12, 10)) for i in range(2)}
    assert compared(tmp_path, write(tmp_path / "b.npz", theirs)) == 2
    assert "layout gpt2 does not fit: model is 'encoder-only'" in capsys.readouterr().err


def test_the_family_may_be_said(tmp_path, capsys):
    trace = traced(tmp_path)
    file = write(
        tmp_path / "b.npz", {"transformer.h.1.mlp": trace["decoder.1.feed_forward.output"]}
    )
    assert compared(tmp_path, file, "--layout", "gpt2") == 0
    assert compared(tmp_path, file, "--layout", "bloom") == 1  # which adds the residual there
    assert compared(tmp_path, file, "--layout", "gtp2") == 2
    assert "did you mean 'gpt2'" in capsys.readouterr().err


def test_a_model_in_a_folder_says_the_family(tmp_path, capsys):
    trace = traced(tmp_path)
    folder = written(tmp_path / "m", "gpt2")
    file = write(
        tmp_path / "b.npz", {"transformer.h.1.mlp": trace["decoder.1.feed_forward.output"]}
    )
    run = ["--model", str(folder), "--ids", "[[1,5,2,9],[3,0,10,4]]"]
    assert main(["compare", str(file), *run, "--lang", "en"]) == 0
    assert "names read as those of gpt2" in capsys.readouterr().out
