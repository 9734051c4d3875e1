"""A trace as CSV files: read back, they are the trace to the last digit."""

import csv
from pathlib import Path

import numpy as np
import pytest
from samples import config_of, ragged_batch, random_parameters, some

from numtx import Batch, load_example, record
from numtx.errors import NumtxError
from numtx.formats.tables import write_csv
from numtx.trace.trace import Trace


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def array_of(rows: list[list[str]], trace: Trace, name: str) -> np.ndarray:
    """The numbers behind the columns of places and tokens."""
    like = trace[name]
    width = like.shape[-1] if like.ndim else 1
    numbers = [[float({"True": 1, "False": 0}.get(x, x)) for x in row[-width:]] for row in rows[1:]]
    return np.array(numbers).reshape(like.shape)


@pytest.mark.parametrize("model", some(2, __name__, always=["weather"]))
def test_read_back_it_is_the_trace(model, tmp_path):
    config = config_of(model)
    trace = record(config, random_parameters(config), Batch(**ragged_batch(config, 4, "right")))
    files = write_csv(trace, tmp_path / "run", gradients=True)
    assert {p.name for p in (tmp_path / "run").iterdir()} == {*files, "stages.csv"}
    listed = read(tmp_path / "run" / "stages.csv")
    head, *rows = ([row[k] for k in (1, 2, 5)] for row in listed)
    assert head == ["stage", "shape", "file"] and [file for *_, file in rows] == files
    stages = [name for name, *_ in rows]
    wrong = {f"grad/{n}" for n in trace.values if n in trace.gradients}
    assert sorted(stages) == sorted([*trace.values, *wrong])
    for name, shape, file in rows:
        stage = name.removeprefix("grad/")
        array = trace.grad(stage) if name != stage else trace[stage]
        assert shape == "x".join(map(str, array.shape))
        found = array_of(read(tmp_path / "run" / file), trace, stage)
        assert np.array_equal(found, array.astype(np.float64), equal_nan=True), name


def test_places_and_tokens_stand_in_front(tmp_path):
    write_csv(load_example("weather").trace(), tmp_path)
    rows = read(tmp_path / "decoder.0.self_attention.weights.csv")
    assert rows[0][:6] == ["batch", "head", "query", "token", "0 <bos>", "1 今"]
    assert rows[2][:4] == ["0", "0", "1", "今"]
    assert read(tmp_path / "loss.csv")[0] == ["value"]


def test_columns_have_no_tokens_where_the_rows_of_the_batch_differ(tmp_path):
    trace = load_example("padding").trace()
    assert len(trace["encoder.tokens" if "encoder.tokens" in trace else "decoder.tokens"]) > 1
    name = next(n for n in trace.values if n.endswith("self_attention.scores"))
    write_csv(trace, tmp_path, [name])
    assert read(tmp_path / f"{name}.csv")[0][4:] == [str(i) for i in range(trace[name].shape[-1])]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NumtxError, match="file: is a file; give the name of a folder"):
        write_csv(load_example("weather").trace(), tmp_path / "file")


def test_only_files_of_the_list_before_are_removed(tmp_path):
    trace, folder = load_example("weather").trace(), tmp_path / "run"
    write_csv(trace, folder, ["loss", "logits", "decoder.tokens"], gradients=True)
    kept = [tmp_path / "out.csv", folder / "mine.csv", folder / "decoder.output.csv"]
    for path in kept:
        path.write_text("mine")
    (folder / "decoder.tokens.csv").unlink()
    with (folder / "stages.csv").open("a", encoding="utf-8") as file:
        file.write("1,../out,,,,../out.csv\n2,a,,,,mine.csv\n3,folder,,,,folder.csv\n")
    (folder / "folder.csv").mkdir()
    write_csv(trace, folder, ["loss"])
    names = {"stages.csv", "loss.csv", "mine.csv", "decoder.output.csv", "folder.csv"}
    assert {path.name for path in folder.iterdir()} == names
    assert all(path.read_text() == "mine" for path in kept)


@pytest.mark.parametrize("text", ["", "stage,file\na,a.csv\n", "\xff", "number,stage,shape\n"])
def test_a_list_of_somebody_else_removes_nothing(tmp_path, text):
    (tmp_path / "a.csv").write_text("mine")
    (tmp_path / "stages.csv").write_bytes(text.encode("latin-1"))
    write_csv(load_example("weather").trace(), tmp_path, ["loss"])
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "stages.csv", "loss.csv"}
