"""`--json` of every command that prints results: strict JSON, alone where it goes to standard
output, and the numbers of the result."""

import re

import numpy as np
import pytest
import terminal
from command_files import command_files

from numtx import Config, load_example
from numtx.cli import COMMANDS
from numtx.fields.field import fields_of
from numtx.formats.plain import plain
from numtx.strict_json import parse
from numtx.trace.files import save_trace

# A run of each command that has results; {trace} is a trace file. Others write what they are
# asked for, or show it: a folder, a lesson, a picture, and laws write to files.
RUNS = {
    "trace": ["trace", "cat", "--stage", "loss*", "--json", "-"],
    "cell": ["cell", "weather", "decoder.0.self_attention.scores[4,1]", "--json", "-"],
    "compare": ["compare", "{trace}", "{other}", "--json"],
    "verify": ["verify", "{trace}", "--json", "-"],
    "stages": ["stages", "cat", "--json", "-"],
    "init": ["init", "--config", "{config}", "--list", "--json", "-"],
    "train": ["train", "cat", "--steps", "3", "--json", "-"],
    "gradcheck": ["gradcheck", "--operation", "softmax", "--samples", "1", "--json"],
    "generate": ["generate", "cat", "--parameters", "{parameters}", "--json", "-"],
    "cost": ["cost", "--tokens", "3", "--json", "-"],
    "figures": ["figures", "--figure", "003.loss-mean", "--json", "-"],
    "inspect": ["inspect", "{folder}", "--json", "-"],
    "check": ["check", "{solution}", "--json", "-"],
}
WITHOUT = {"learn", "picture", "laws", "export"}


def test_every_command_has_results_or_says_that_it_has_none():
    assert set(RUNS) | WITHOUT == set(COMMANDS)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return command_files(tmp_path_factory.mktemp("files"))


def result(capsys, files, *command):
    code, out, err = terminal.run(capsys, *(part.format(**files) for part in command))
    assert code in (0, 1) and err == ""
    return parse(out)


@pytest.mark.parametrize("command", RUNS)
def test_it_is_strict_and_alone(command, files, capsys):
    assert result(capsys, files, *RUNS[command])


def test_a_file_is_written_beside_the_text(files, capsys, tmp_path):
    path = tmp_path / "found.json"
    code, out, err = terminal.run(capsys, "verify", files["trace"], "--json", str(path))
    assert (code, err) == (0, "") and "right" in out
    found = parse(path.read_text(encoding="utf-8"))
    assert found["verdict"] == "right" and found["wrong"] == [] and len(found["checked"]) > 50
    code, _, err = terminal.run(capsys, "verify", files["trace"], "--json", "/no/such/folder/x")
    assert code == 2 and len(err.splitlines()) == 1


def test_a_wrong_trace_is_wrong_in_json_too(files, capsys, tmp_path):
    trace = load_example("cat").trace()
    trace.values["logits"] = trace["logits"] + 0.1
    save_trace(trace, tmp_path / "wrong.npz")
    code, out, _ = terminal.run(capsys, "verify", str(tmp_path / "wrong.npz"), "--json", "-")
    found = parse(out)
    assert code == 1 and found["verdict"] == "wrong"
    assert found["wrong"][0]["name"] == "logits"


def test_the_arithmetic_of_a_cell_can_be_evaluated(files, capsys):
    (found,) = result(capsys, files, *RUNS["cell"])
    trace = load_example("weather").trace()
    value = trace["decoder.0.self_attention.scores"][0, 0, 4, 1]
    assert found["value"] == value
    last = re.sub(r"\s", " ", found["steps"][-1]["forms"][-1])
    assert eval(last, {"sqrt": np.sqrt}) == pytest.approx(value, rel=1e-14)


def test_numbers_of_the_other_commands(files, capsys):
    stages = result(capsys, files, *RUNS["stages"])
    assert [s["number"] for s in stages] == list(range(1, len(stages) + 1))
    trained = result(capsys, files, *RUNS["train"])
    assert len(trained["losses"]) == trained["steps"] == 3
    generated = result(capsys, files, *RUNS["generate"])
    assert [s["phase"] for s in generated["steps"]][:2] == ["prefill", "decode.0"]
    assert sum(len(row) for row in generated["new"]) == len(generated["steps"])
    beams = result(capsys, files, *RUNS["generate"], "--strategy", "beam", "--num-beams", "2")
    assert beams["hypotheses"][0][0]["tokens"] == beams["new"][0]
    cost = result(capsys, files, *RUNS["cost"])
    assert [s["computed"] for s in cost["without_cache"]] == [1, 2, 3]
    assert [s["computed"] for s in cost["cached"]] == [1, 1, 1]
    listed = result(capsys, files, *RUNS["init"])
    sizes = [int(np.prod(shape)) for shape in listed["parameters"].values()]
    assert sum(sizes) == listed["numbers"]
    seen = result(capsys, files, *RUNS["inspect"])
    assert seen["layout"] == "llama" and all(t["parameters"] for t in seen["tensors"])


def test_every_field_of_a_configuration(files, capsys):
    found = result(capsys, files, "init", "--fields", "--json", "-")
    assert list(found) == list(fields_of(Config))
    for name, field in fields_of(Config).items():
        assert found[name]["needed"] == field.needed
        assert found[name]["default"] == (None if field.needed else plain(field.default))


def test_a_demonstration_has_no_json(capsys):
    code, _, err = terminal.run(capsys, "train", "--demo", "flow", "--json", "-")
    assert code == 2 and "--json with --demo" in err


def test_values_that_json_lacks():
    found = plain({"a": np.array([np.inf, -np.inf, np.nan]), "b": np.int64(3), "c": {2, 1}})
    assert found == {"a": ["inf", "-inf", "nan"], "b": 3, "c": [1, 2]}
    assert plain([float("inf"), np.float64("nan"), 0.5]) == ["inf", "nan", 0.5]
