"""Every example: it runs, the oracle agrees, and it holds what its document states."""

import numpy as np
import pytest

from numtx import load_example
from numtx.check.verify import verify
from numtx.errors import ExampleError
from numtx.examples.registry import EXAMPLES, SENTENCES, example_for_text
from numtx.ops.loss import IGNORED

SMALL = [name for name in EXAMPLES if name != "memory"]  # width 512 takes the oracle minutes


@pytest.mark.parametrize("name", SMALL)
def test_the_oracle_agrees_with_every_stage_and_gradient(name: str) -> None:
    report = verify(load_example(name).trace())
    assert report.ok, report.wrong[0]


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_has_words_for_all_its_tokens_and_says_what_is_chosen(name: str) -> None:
    example = load_example(name, seed=3)
    assert any("3" in text.en and "seed" in text.en for text in example.chosen)
    assert example.given
    trace = example.trace(gradients=False)
    for side in example.config.sides:
        assert np.shape(trace.tokens[side]) == trace[f"{side}.tokens"].shape
    assert trace.vocabulary is not None
    assert len(trace.vocabulary) == example.config.vocabulary


def test_cat_is_the_documents_e_p_and_x() -> None:
    trace = load_example("cat").trace(gradients=False)
    expected = [
        [1.1, 0.2, 1.3, 0.4],
        [0.2, 1.3, 1.4, 0.5],
        [1.3, 1.4, 0.5, 1.6],
        [0.4, 1.5, 0.6, 1.7],
        [1.5, 0.6, 0.7, 1.8],
    ]
    assert np.allclose(trace["decoder.input"][0], expected, atol=1e-15)
    labels = trace["labels"][0].tolist()
    assert labels == [1, 2, 3, 4, IGNORED]
    assert "output.b" in trace.parameters


def test_masked_hides_each_position_once() -> None:
    example = load_example("masked")
    ids, labels = np.asarray(example.batch.ids), np.asarray(example.batch.labels)
    assert np.array_equal(ids == 5, np.eye(5, dtype=bool))
    assert np.array_equal(labels != IGNORED, np.eye(5, dtype=bool))
    assert labels.diagonal().tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(np.where(labels == IGNORED, ids, labels), [[0, 1, 2, 3, 4]] * 5)


def test_translation_has_two_words_for_today_and_the_documents_size() -> None:
    example = load_example("translation")
    assert example.tokens["decoder"][0][1] == "Today"
    assert example.tokens["labels"][0] == ["Today", "is", "nice", "weather", "today", "<eos>"]
    large = load_example("translation", layers=6, words=10000)
    assert large.vocabulary is not None
    assert large.vocabulary["Today"] == 8888
    assert large.trace(gradients=False)["logits"].shape == (1, 6, 10000)
    assert "decoder.5.feed_forward.norm" in large.trace(gradients=False)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_memory_meets_four_keys_at_every_step(step: int) -> None:
    trace = load_example("memory", step=step).trace(gradients=False)
    place = "decoder.0.cross_attention"
    assert trace[f"{place}.queries"].shape == (1, 1, step, 512)
    assert trace[f"{place}.keys"].shape == (1, 1, 4, 512)
    assert trace[f"{place}.products"].shape == (1, 1, step, 4)


def test_memory_keeps_its_keys_while_the_decoder_grows() -> None:
    keys = [
        load_example("memory", step=n).trace(gradients=False)["encoder.output"] for n in (1, 2, 3)
    ]
    assert keys[0].tobytes() == keys[1].tobytes() == keys[2].tobytes()


def test_padding_is_the_documents_batch() -> None:
    example = load_example("padding")
    assert example.tokens["encoder"] == [
        ["今", "天", "很", "好", "<eos>", "<pad>", "<pad>"],
        ["明", "天", "会", "下", "雨", "吧", "<eos>"],
    ]
    trace = example.trace()
    weights = trace["encoder.0.self_attention.weights"][0]
    assert not weights[:, :, 5:].any()
    assert trace["loss.per_token"][0, 5:].tolist() == [0.0, 0.0]
    left = load_example("padding", side="left").trace()
    assert np.isclose(left["loss"], trace["loss"], rtol=0, atol=1e-12)


def test_as_written_has_no_add_and_norm_around_the_decoders_attentions() -> None:
    names = load_example("weather", wiring="as-written").trace().values
    for kind in ("self_attention", "cross_attention"):
        assert f"decoder.0.{kind}.norm" not in names
        assert f"decoder.0.{kind}.residual" not in names
    assert "decoder.0.feed_forward.norm" in names
    assert "encoder.0.self_attention.norm" in names
    assert not any(
        name.endswith("w_o") for name in load_example("weather", wiring="as-written").parameters
    )


@pytest.mark.parametrize("wiring", ["paper", "as-written"])
def test_as_stated_gives_the_documents_seven_losses_and_their_mean(wiring: str) -> None:
    trace = load_example("weather", wiring=wiring, as_stated=True).trace()
    assert trace["loss.per_token"][0].round(2).tolist() == [
        2.03, 1.88, 1.92, 1.82, 1.84, 1.86, 1.69,
    ]  # fmt: skip
    assert round(float(trace["loss"]), 2) == 1.86
    assert trace["encoder.output"][0, 6].tolist() == [0.4, 0.5, 0.5, 0.5]
    assert verify(trace).ok
    assert not trace.grad("encoder.0.feed_forward.norm").any()  # H_enc is held


def test_a_known_sentence_finds_its_example_and_any_other_is_read() -> None:
    for text, name in SENTENCES.items():
        assert example_for_text(" ".join(text)).name == name
    other = example_for_text("天 天好!")
    assert other.tokens["encoder"] == [["天", "天", "好", "!", "<eos>"]]
    assert other.config.vocabulary == 6


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: load_example("wether"), "did you mean 'weather'"),
        (lambda: load_example("cat", wiring="paper"), "cat does not take wiring.*as_stated"),
        (lambda: load_example("letters", step=1), "nothing but the seed"),
        (lambda: load_example("weather", wiring="x"), "'paper' or 'as-written'"),
        (lambda: load_example("memory", step=4), "1, 2 or 3"),
        (lambda: load_example("translation", layers=0), "at least 1"),
        (lambda: load_example("translation", words=3), "words are 17"),
        (lambda: load_example("weather", seed=-1), "0 or above"),
        (lambda: example_for_text(" \n"), "empty"),
        (lambda: example_for_text("ab", wiring="paper"), "does not take wiring"),
        (lambda: example_for_text("x" * 201), "at most 200"),
    ],
)
def test_bad_input(make, words: str) -> None:
    with pytest.raises(ExampleError, match=words):
        make()
