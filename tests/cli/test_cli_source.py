"""What to run: examples, sentences, models of one's own."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from terminal import run

from numtx import Batch, Config, forward, load_parameters, load_trace
from numtx.cli import main
from numtx.examples.registry import EXAMPLES
from numtx.fields.field import fields_of
from numtx.show.grid import display_width

CONFIG = {
    "model": "decoder-only", "width": 6, "decoder_layers": 1, "heads": 2, "hidden": 5,
    "vocabulary": 7, "positions": "rotary", "key_width": 4,
}  # fmt: skip


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """Options that name a model of one's own, with its files written by `numtx init`."""
    config, parameters = tmp_path / "c.json", tmp_path / "p.npz"
    config.write_text(json.dumps(CONFIG))
    assert main(["init", "--config", str(config), "--seed", "5", "--out", str(parameters)]) == 0
    return ["--config", str(config), "--parameters", str(parameters)]


@pytest.mark.parametrize(
    ("name", "lang"),
    [
        pytest.param(name, lang, marks=() if (n + k) % 2 else pytest.mark.heavy)
        for n, name in enumerate(EXAMPLES)
        for k, lang in enumerate(("zh", "en"))
    ],
)
def test_each_example_traces_in_both_languages(
    capsys: pytest.CaptureFixture[str], name: str, lang: str
) -> None:
    """By default each in one of them, in turn: what is printed is made the same way for all."""
    code, out, err = run(capsys, "trace", name, "--lang", lang)
    assert (code, err) == (0, "")
    assert out.startswith(f"{name}: ")
    assert "loss = " in out
    assert "nan" not in out
    assert "-0.00 " not in out


def test_cat_prints_x_as_the_document_does(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "trace", "cat", "--precision", "1", "--stage", "decoder.input")
    rows = [line.split()[2:] for line in out.split("\n") if line[:3] in ("0 你", "4 猫")]
    assert rows == [["1.1", "0.2", "1.3", "0.4"], ["1.5", "0.6", "0.7", "1.8"]]
    assert "embedding + positions" in out


def test_memory_prints_the_three_shape_lines(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "trace", "memory", "--quiet")
    for n in (1, 2, 3):
        assert f"[{n},512]·[512,4]=[{n},4]" in out


def test_large_arrays_show_a_summary_and_corners_and_full_shows_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = ("trace", "memory", "--stage", "encoder.embedding")
    _, short, _ = run(capsys, *args)
    assert "float64[1,4,512]" in short
    assert "..." in short
    _, full, _ = run(capsys, *args, "--full", "--width", "100")
    assert "..." not in full
    for j in range(512):
        assert f" d{j}" in full
    assert max(display_width(line) for line in full.split("\n") if line.startswith("0 a")) <= 100


def test_sentences(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(capsys, "trace", "今天天气很好", "--quiet")[1].startswith("weather:")
    assert run(capsys, "trace", "--text", "你是一只猫", "--quiet")[1].startswith("cat:")
    out = run(capsys, "trace", "我 爱 你", "--quiet")[1]
    assert "no document works this sentence" in out
    monkeypatch.setattr("sys.stdin", io.StringIO("好天气\n"))
    assert run(capsys, "trace", "-", "--stage", "encoder.tokens")[1].count("2 气") == 1
    assert run(capsys, "trace", "--text", "wether", "--quiet")[1].startswith("text:")


def test_row_and_wiring_and_as_stated(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "trace", "padding", "--row", "1", "--stage", "encoder.input")
    assert "row 1" in out
    assert "row 0" not in out
    _, out, _ = run(capsys, "trace", "--wiring", "as-written", "--quiet")
    assert "to the letter" in out
    _, out, _ = run(capsys, "trace", "--as-stated", "--stage", "logits")
    assert "0.89*" in out
    assert sum(line.count("*") for line in out.split("\n") if line.startswith("0 <bos>")) == 10
    assert sum(line.count("*") for line in out.split("\n") if line.startswith("1 今")) == 0


def test_json_is_strict(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    assert run(capsys, "trace", "--json", str(path), "--quiet")[0] == 0

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    data = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    masked = data["stages"]["decoder.0.self_attention.masked_scores"]
    assert masked["value"][0][0][0][1] == "-inf"
    assert masked["axes"] == ["batch", "head", "query", "key"]
    assert np.shape(data["stages"]["logits"]["gradient"]) == (1, 7, 10)
    _, out, _ = run(capsys, "trace", "--json", "-", "--stage", "loss")
    assert list(json.loads(out)["stages"]) == ["loss"]


def test_a_model_of_ones_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: list[str]
) -> None:
    path = tmp_path / "t.npz"
    ids, labels = [[1, 2, 3], [4, 5, 6]], [[2, 3, -100], [5, 6, 0]]
    code, _, err = run(
        capsys, "trace", *model, "--ids", json.dumps(ids), "--labels", json.dumps(labels),
        "--mask", "[[0,1,1],[1,1,1]]", "--gradients", "--npz", str(path), "--quiet",
    )  # fmt: skip
    assert (code, err) == (0, "")
    trace = load_trace(path)
    config = Config.from_dict(CONFIG)
    parameters = load_parameters(model[3], config)
    mask = np.array([[False, True, True], [True] * 3])
    outputs, _ = forward(config, parameters, Batch(ids, labels=labels, mask=mask))
    assert np.array_equal(trace["logits"], outputs.logits)
    assert np.array_equal(trace["loss"], outputs.loss)
    assert set(trace.gradients) >= {f"parameters/{name}" for name in parameters}
    code, out, _ = run(capsys, "trace", *model, "--ids", "[1,2,3]")
    assert code == 0
    assert "log_probabilities" in out
    assert "\n  loss =" not in out
    assert "per_token" not in out


def test_trained_parameters_are_taken_by_an_example(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from numtx import load_example, save_parameters

    save_parameters(tmp_path / "p.npz", load_example("cat", seed=9).parameters)
    path = str(tmp_path / "p.npz")
    _, by_file, _ = run(capsys, "trace", "cat", "--parameters", path, "--stage", "loss")
    _, by_seed, _ = run(capsys, "trace", "cat", "--seed", "9", "--stage", "loss")
    assert by_file.split("loss = ")[1] == by_seed.split("loss = ")[1]


def test_init_lists_fields_and_names(capsys: pytest.CaptureFixture[str], model: list[str]) -> None:
    _, out, _ = run(capsys, "init", "--fields")
    assert "key_value_heads" in out
    assert "score_scale           None" in out
    words = " ".join(out.split())
    for name, field in fields_of(Config).items():
        assert out.count(f"\n    {name} ") == 2, name  # what it means; what is taken
        default = "(needed)" if field.needed else repr(field.default)
        assert f" {name} {default} {field.text()} " in f"{words} "
    _, out, _ = run(capsys, "init", *model[:2], "--list")
    assert "decoder.0.self_attention.w_q" in out
    assert "[6,8]" in out


@pytest.mark.parametrize(
    "args",
    [
        ("--ids", "[[1,2]]", "--config", "nowhere.json"),
        ("--ids", "[[1,2]]"),
        ("--ids", "[[1,99]]", "MODEL"),
        ("--ids", "[[1,-1]]", "MODEL"),
        ("--ids", "[[1.5]]", "MODEL"),
        ("--ids", "[[true]]", "MODEL"),
        ("--ids", "[[1],[1,2]]", "MODEL"),
        ("--ids", "[]", "MODEL"),
        ("--ids", "5", "MODEL"),
        ("--ids", "[1,", "MODEL"),
        ("--ids", "[[[1]]]", "MODEL"),
        ("--ids", "[1]", "--labels", "[[7]]", "MODEL"),
        ("--ids", "[1]", "--labels", "[-100]", "MODEL"),
        ("--ids", "[1]", "--labels", "[1,2]", "MODEL"),
        ("--ids", "[1]", "--mask", "[[0]]", "MODEL"),
        ("--ids", "[1]", "--mask", "[[2]]", "MODEL"),
        ("--ids", "[1]", "--mask", "[[1,1]]", "MODEL"),
        ("--ids", "[[1],[1]]", "--mask", "[[1],1]", "MODEL"),
        ("--ids", "[1e400]", "MODEL"),
        ("--ids", "[NaN]", "MODEL"),
        ("--set", "encoder.tokens[0]=99"),
        ("--set", "encoder.tokens[0]=-1"),
        ("--set", "labels[0]=99"),
        ("--set", "labels=[-100,-100,-100,-100,-100,-100,-100]"),
        ("--set", "logits[0,0]=1e400"),
        ("--set", "logits[0,0]=NaN"),
        ("--ids", "[1]", "--decoder-ids", "[1]", "MODEL"),
        ("--ids", "[1]", "--gradients", "MODEL"),
        ("--ids", "[1]", "--wiring", "paper", "MODEL"),
        ("--ids", "[1]", "cat", "MODEL"),
        ("MODEL",),
        ("--text", "a", "cat"),
        ("cat", "--parameters", "nowhere.npz"),
        ("cat", "--wiring", "paper"),
        ("--json", "/nowhere/at/all.json"),
        ("--text", " "),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], model: list[str], args: tuple[str, ...]
) -> None:
    given = [part for arg in args for part in (model if arg == "MODEL" else [arg])]
    code, _, err = run(capsys, "trace", *given)
    assert code == 2, err
    assert err.count("\n") == 1, err
    assert err.startswith("numtx")


@pytest.mark.parametrize(
    "change",
    [
        {"heads": 4}, {"width": 0}, {"nonsense": 1}, {"rotary_width": 3}, {"model": "x"},
        {"decoder_layers": 0}, {"key_value_heads": 3}, {"epsilon": -1}, {"epsilon": "a"},
    ],
)  # fmt: skip
def test_a_bad_configuration_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, change: dict[str, object]
) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**CONFIG, "key_width": None, **change}))
    code, _, err = run(capsys, "init", "--config", str(path), "--out", str(tmp_path / "p.npz"))
    assert code == 2
    assert "c.json: config: " in err
    assert err.count("\n") == 1


def test_json_is_read_strictly_by_every_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.json"
    text = json.dumps(CONFIG)
    path.write_text("\ufeff" + text, encoding="utf-8")
    assert run(capsys, "init", "--config", str(path), "--list")[0] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufeff[[1,2]]"))
    args = ("trace", "--config", str(path), "--ids", "-", "--quiet")
    assert run(capsys, *args)[0] == 0
    path.write_text(text.replace('"heads": 2', '"heads": 2, "heads": 1'))
    code, _, err = run(capsys, "init", "--config", str(path), "--list")
    assert code == 2 and "c.json: config: the name 'heads' occurs twice" in err
    path.write_text(text.replace('"heads": 2', '"heads": 2, "epsilon": 1e400'))
    code, _, err = run(capsys, "init", "--config", str(path), "--list")
    assert code == 2 and "1e400 is not finite" in err
    path.write_text('{"logits": "logits", "logits": "loss"}')
    run(capsys, "trace", "--npz", str(tmp_path / "t.npz"), "--quiet")
    pair = (str(tmp_path / "t.npz"),) * 2
    code, _, err = run(capsys, "compare", *pair, "--map", str(path))
    assert code == 2 and "the name 'logits' occurs twice" in err
    path.write_text("[NaN]")
    code, _, err = run(capsys, "trace", "--set", f"loss={path}")
    assert code == 2 and "NaN" in err and err.count("\n") == 1


def test_standard_input_that_is_no_text_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="utf-8"))
    code, _, err = run(capsys, "trace", "-")
    assert code == 2 and "standard input cannot be read as text" in err and err.count("\n") == 1


@pytest.mark.parametrize("command", ["trace", "cell", "gradcheck", "train", "generate"])
def test_every_command_takes_the_same_examples_and_sentences(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("numtx.training.recipe.default_steps", lambda config: 3)
    rest = {
        "trace": ["--quiet"], "cell": ["logits[0,0]"], "gradcheck": ["--stage", "logits"],
        "train": ["--steps", "1"], "generate": ["--max-new-tokens", "0"],
    }[command]  # fmt: skip
    for words in (["好 天气"], ["--text", "Hello"], ["--text", "今天天气很好"]):
        name, option = (words, []) if words[0] != "--text" else ([], words)
        if command == "cell" and option:
            continue  # its one argument is then the cell
        code, out, err = run(capsys, command, *name, *rest, *option)
        assert code in (0, 1), err
        assert out
    code, out, err = run(capsys, command, "Hello", *rest)
    assert (code, out) == (2, "")
    assert "example 'Hello' does not exist" in err
    assert err.endswith("--text Hello\n") and err.count("\n") == 1
    code, _, err = run(capsys, command, "wether", *rest)
    assert "did you mean 'weather'?" in err and "--text wether" in err


def test_a_model_that_no_memory_holds_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path, out = tmp_path / "c.json", tmp_path / "p.npz"
    for change in ({"width": 10**9, "key_width": 4}, {"decoder_layers": 10**10}):
        path.write_text(json.dumps({**CONFIG, **change}))
        code, _, err = run(capsys, "init", "--config", str(path), "--out", str(out))
        assert code == 2 and "of memory" in err and err.count("\n") == 1
        assert not out.exists()
        code, _, err = run(capsys, "trace", "--config", str(path), "--ids", "[1]")
        assert code == 2 and "of memory" in err and err.count("\n") == 1


def test_the_words_in_the_margins_follow_the_tokens_that_are_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stages = (
        "encoder.0.self_attention.weights",
        "decoder.0.cross_attention.weights",
        "loss.per_token",
    )
    shown = [part for stage in stages for part in ("--stage", stage)]
    plain = run(capsys, "trace", *shown, "--lang", "en")[1]
    plain = plain[plain.index("== encoder") :]
    assert "3 气" in plain and "3 很" not in plain
    held = run(capsys, "trace", *shown, "--lang", "en", "--set", "encoder.tokens[3]=6")[1]
    held = held[held.index("== encoder") :]
    assert held.count("2 天  3 很  4 很") == 2 and "3 气" not in held
    assert held.count("3 天  4 气  5 很") == plain.count("3 天  4 气  5 很") == 1  # of the loss


@pytest.mark.parametrize(
    ("stage", "value"),
    [
        *(("encoder.0.self_attention.output", value) for value in ('"inf"', '"nan"', "1e308")),
        *(("logits", value) for value in ('"-inf"', "1e308")),
    ],
)
def test_a_set_number_of_any_size_is_quiet(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, stage: str, value: str
) -> None:
    """Neither a warning (here an error) nor a traceback, wherever it is printed."""
    files = [part for kind in ("npz", "json", "html") for part in (f"--{kind}", tmp_path / kind)]
    args = ("trace", "--gradients", "--set", f"{stage}[0,0]={value}", *map(str, files))
    code, out, err = run(capsys, *args)
    assert (code, err) == (0, "")
    assert f"{stage} *" in out
