"""The documents' pictures: what they show is what the runs gave."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from numtx import load_example
from numtx.cli import main
from numtx.costs import step_with_cache, step_without_cache
from numtx.errors import ExampleError
from numtx.examples import pictures
from numtx.pictures.svg import DASHES, causal_mask_svg, memory_svg
from numtx.pictures.terminal import (
    Frame,
    cached_step_text,
    causal_mask_text,
    memory_text,
    side_by_side_text,
)
from numtx.show.grid import display_width

SVG = "{http://www.w3.org/2000/svg}"
CURVES = pictures.memory_curves(
    layers=32, heads=32, width=128, groups=8, rank=512, rotary=64, size=2
)


def numbers(block):
    """The numbers of a grid, row by row; None where masked."""
    rows = [line.split()[2:7] for line in block.splitlines()[2:7]]
    return [[None if cell in (".", "-inf") else float(cell) for cell in row] for row in rows]


def test_the_mask_hides_later_tokens_and_the_rest_shares_their_weight():
    picture = pictures.mask_picture(load_example("cat"))
    free, mask, weights = causal_mask_text(picture, 80, lang="en").split("\n\n")
    later = np.triu(np.ones((5, 5), bool), 1)
    assert [[x is None for x in row] for row in numbers(mask)] == later.tolist()
    assert [[x is None for x in row] for row in numbers(weights)] == later.tolist()
    free, weights = numbers(free), numbers(weights)
    for i in range(5):
        assert sum(free[i]) == pytest.approx(1, abs=0.03)
        assert sum(x for x in weights[i] if x is not None) == pytest.approx(1, abs=0.03)
        for j in range(i + 1):  # each grows by the same factor
            assert weights[i][j] == pytest.approx(free[i][j] / sum(free[i][: i + 1]), abs=0.06)
    np.testing.assert_allclose(
        picture.weights, np.where(later, 0, picture.free)
        / np.where(later, 0, picture.free).sum(1, keepdims=True), rtol=0, atol=1e-12,
    )  # fmt: skip


def test_memory_is_the_formula():
    by_name = {curve.name: curve.bytes_per_token for curve in CURVES}
    assert by_name == {
        "MHA": 2 * 32 * 32 * 128 * 2, "GQA": 2 * 32 * 8 * 128 * 2, "MQA": 2 * 32 * 128 * 2,
        "MLA": 32 * (512 + 64) * 2,
    }  # fmt: skip
    text = memory_text(CURVES, 131072, "title", 80)
    for size in ("64 GiB", "16 GiB", "2 GiB", "4.5 GiB"):
        assert re.search(rf" {size}$", text, re.MULTILINE)
    assert all(display_width(line) <= 80 for line in text.splitlines())
    lines = [line for line in text.splitlines() if "|" in line]
    # The steepest curve is a straight line to the corner.
    for i in (3, 8, 12):
        assert lines[i].index("A") == pytest.approx(8 + 64 * (14.5 - i) / 15, abs=1.5)


def test_the_data_flow_has_the_shapes_of_the_run():
    picture = pictures.step_picture(load_example("cat"))
    text = cached_step_text(picture)
    assert "step t = 5: 你 是 一 只 [猫]" in text
    for part in (
        "x_t [1,4]", "k_t [1,4]", "V_prev [4,4]", "K [5,4]", "weights [1,5]", "-> [1,4]",
    ):  # fmt: skip
        assert part in text
    drawn = text.split("\n\n")[1].splitlines()
    assert all(len(line) <= 80 and line.isascii() for line in drawn)
    # Arrows stand above one another.
    up, down = drawn[3].index("^"), drawn[3].index("^") + 3
    assert drawn[5][up] == "^" and drawn[5][down] == drawn[6][down] == "|"
    assert drawn[7][down] == "v" and drawn[8][up] == "-"


def test_with_a_cache_nothing_is_computed_twice():
    frames = pictures.frames(load_example("cat"))
    assert [frame.following for frame in frames] == list("是一只猫")
    text = side_by_side_text(frames).split("\n\nstep")
    for n, (frame, block) in enumerate(zip(frames, text[1:], strict=True), 1):
        assert frame.computed == (n, 1)
        layers = 2
        assert frame.multiply_adds == (
            layers * step_without_cache(n, 4), layers * step_with_cache(n, 4),
        )  # fmt: skip
        drawn = block.split("\n")[4:]  # below the inputs
        assert "".join(drawn).count("o") == 2 * (n - 1)
        again = n * (n + 1) // 2 - n
        assert "".join(drawn).count("=") == again + 2 * (n - 1)
        assert "".join(drawn).count("#") == 2 * (n + 2)
        assert "".join(drawn).count(".") == n * (n - 1) // 2


def test_frames_of_words_of_all_widths_stand_in_columns():
    frames = [Frame(["I", "think", "天气"], "so", (3, 1), (100, 10))]
    block = side_by_side_text(frames, width=100).split("\n\n", 1)[1]
    starts = [
        display_width(line[: re.search("[#=]", line).start()])
        for line in block.splitlines()
        if re.search("[#=]", line)
    ]
    assert len(starts) == 3
    assert len(set(starts)) == 1


def parse(text):
    root = ET.fromstring(text)
    return root, [element.text for element in root.iter(f"{SVG}text")]


def test_the_svg_of_the_mask():
    picture = pictures.mask_picture(load_example("cat"))
    root, texts = parse(causal_mask_svg(picture))
    assert root.find(f"{SVG}title").text
    assert texts.count("−∞") == 10
    assert texts.count("猫") == 6
    for x in picture.weights[np.tril(np.ones((5, 5), bool))]:
        assert f"{x:.2f}" in texts
    hatched = [r for r in root.iter(f"{SVG}rect") if r.get("fill") == "url(#hatch)"]
    assert len(hatched) == 20
    style = root.find(f"{SVG}style").text
    assert "prefers-color-scheme: dark" in style
    assert "CJK" in style
    assert "http" not in causal_mask_svg(picture).replace("http://www.w3.org/2000/svg", "")


def test_the_svg_of_the_memory_can_be_read_without_colour():
    root, texts = parse(memory_svg(CURVES, 131072, "a < b & c"))
    assert "a < b & c" in texts
    curves = [e for e in root.iter(f"{SVG}line") if "curve" in e.get("class")]
    assert {e.get("stroke-dasharray", "") for e in curves} == set(DASHES)
    ends = [e for e in curves if e.get("x2") == "636"]
    heights = [448 - float(e.get("y2")) for e in ends]
    np.testing.assert_allclose(
        np.array(heights) / heights[0], [1, 1 / 4, 1 / 32, 4.5 / 64], rtol=0, atol=1e-3
    )
    labels = [e for e in root.iter(f"{SVG}text") if re.fullmatch(r"M?[A-Z]+  .* GiB", e.text)]
    places = sorted(float(e.get("y")) for e in labels)
    assert len(places) == 4
    assert min(np.diff(places)) >= 15


@pytest.mark.parametrize("name", ["beams", "loops", "letters", "cat"])
def test_examples_with_a_decoder_alone(name):
    example = load_example(name)
    assert causal_mask_text(pictures.mask_picture(example), 80)
    parse(causal_mask_svg(pictures.mask_picture(example)))
    assert cached_step_text(pictures.step_picture(example))
    length = 6 if name == "loops" else np.shape(example.batch.ids)[1]  # there one is padding
    assert len(pictures.frames(example)) == length - 1
    assert len(pictures.mask_picture(example).tokens) == length


@pytest.mark.parametrize("name", ["weather", "masked"])
def test_examples_that_have_no_such_picture(name):
    with pytest.raises(ExampleError, match="no decoder alone"):
        pictures.frames(load_example(name))


def test_the_command(tmp_path, capsys):
    for name in ("causal-mask", "cache-memory", "cached-step", "side-by-side"):
        assert main(["picture", name]) == 0
        assert len(capsys.readouterr().out.splitlines()) > 10
    for name in ("causal-mask", "cache-memory"):
        file = tmp_path / f"{name}.svg"
        assert main(["picture", name, "--svg", str(file)]) == 0
        parse(file.read_text(encoding="utf-8"))
    capsys.readouterr()
    for args, message in (
        (("cached-step", "--svg", "x.svg"), "cached-step is for the terminal"),
        (("cache-memory", "cat"), "cache-memory shows no example"),
        (("cache-memory", "--heads", "7", "--groups", "3"), "--heads 7 is not a multiple"),
        (("causal-mask", "weather"), "weather is no decoder alone"),
        (("causal-mask", "--svg", str(tmp_path / "no" / "x.svg")), "does not exist"),
    ):
        assert main(["picture", *args]) == 2
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1
