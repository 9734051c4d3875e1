"""Fields are declared once: what reads them reads all of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, Phase, find, settings

from numtx.cli import main
from numtx.config import Config
from numtx.errors import ConfigError
from numtx.fields.field import AnyOf, Field, configuration, fields_of, number, values_of, whole
from numtx.fields.kinds import Choice, Flag, Number, Places, Record, Whole
from numtx.laws.strategies import configurations

FIELDS = fields_of(Config)
SMALL = {"model": "decoder-only", "width": 6, "hidden": 5, "vocabulary": 11, "decoder_layers": 1}


@configuration
class Capped(Config):
    """One field more.

    {fields}

    Nothing else.
    """

    value_cap: float | None = number(
        "Attention", "c·tanh(values / c); None: no cap", (None, 30.0), above=0, default=None
    )


def drawable(field: Field) -> list[object]:
    return [v.names[:1] if isinstance(v, AnyOf) else v for v in field.draw]


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_has_words_and_something_to_draw(name):
    field = FIELDS[name]
    assert len(field.words.split()) > 2 or isinstance(field.kind, Choice)
    assert "\n" not in field.words
    values = drawable(field)
    if field.needed:
        assert values
    else:
        assert field.check(name, field.default) == field.default
        assert any(v != field.default for v in values) and field.default in values
    assert len({repr(v) for v in values}) == len(values)
    for value in values:
        assert field.check(name, value) == value
    if isinstance(field.kind, Choice):
        assert {v for v in values if not isinstance(v, tuple)} == set(field.kind.values)
        for value in field.kind.values:
            assert re.search(rf"(?<![\w-]){value}(?![\w-])", field.words), value
    elif isinstance(field.kind, Flag):
        assert set(values) == {True, False}
    elif isinstance(field.kind, Places):
        assert field.draw[:3] == (False, True, AnyOf(field.kind.known))
    elif field.optional:
        assert None in values


def test_every_kind_is_used():
    assert {type(field.kind) for field in FIELDS.values()} == {
        Choice,
        Whole,
        Number,
        Flag,
        Places,
        Record,
    }


def test_the_docstring_and_the_list_have_every_field():
    for lines in (Config.__doc__.splitlines(), values_of(Config).splitlines()):
        found = [line.split()[0] for line in lines if re.match(r"    \w", line)]
        assert sorted(found) == sorted(FIELDS)
        assert max(map(len, lines)) <= 100
    words = " ".join(Config.__doc__.split())
    for name, field in FIELDS.items():
        assert f" {name} {field.words} " in words
    assert Config.__doc__.endswith("names no model.")


def test_one_statement_declares_a_field(monkeypatch, capsys):
    """It is in docstring and list, checked, written, read and drawn."""
    assert list(fields_of(Capped)) == [*FIELDS, "value_cap"]
    line = "    value_cap             c·tanh(values / c); None: no cap\n"
    assert line in Capped.__doc__.partition("Attention\n")[2].partition("Positions\n")[0]
    assert Capped.__doc__.startswith("One field more.") and "Nothing else." in Capped.__doc__
    assert "value_cap" not in Config.__doc__
    monkeypatch.setattr("numtx.config.Config", Capped)
    assert main(["init", "--fields"]) == 0
    out = capsys.readouterr().out
    assert line in out
    assert "    value_cap             None              a finite number, above 0, or null\n" in out
    with pytest.raises(ConfigError, match="config: value_cap is 0; it is above 0"):
        Capped(**SMALL, value_cap=0)
    capped = Capped(**SMALL, value_cap=20.0)
    assert Capped.from_dict(capped.to_dict()) == capped != Capped(**SMALL)
    few = settings(
        max_examples=100, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    assert find(configurations(Capped, {}), lambda c: c.value_cap == 30.0, settings=few)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Choice(("one", None)), "one of 'one', null"),
        (Whole(2), "a whole number of at least 2"),
        (Whole(0, 1), "a whole number of at least 0 and at most 1"),
        (Number(), "a finite number"),
        (Number(above=0), "a finite number, above 0"),
        (Number(least=0.5), "a finite number, 0.5 or above"),
        (Number(above=0, below=1), "a finite number, above 0 and below 1"),
        (Number(below=1), "a finite number, below 1"),
        (Flag(), "true or false"),
        (Places(("a", "b")), "true, false or a list of names: a, b"),
    ],
)
def test_a_kind_says_what_it_takes(kind, text):
    assert kind.text() == text


def test_bounds_hold_at_their_ends():
    inside, outside = (0.0, 0.5), (1.0, -1e-9, 2, True, "0", None)
    for value in inside:
        assert Number(least=0, below=1).check("x", value) == value
    for value in outside:
        with pytest.raises(ConfigError, match="config: x is "):
            Number(least=0, below=1).check("x", value)
    with pytest.raises(ConfigError):
        Number(above=0).check("x", 0.0)


def test_a_section_that_the_docstring_has_not():
    with pytest.raises(TypeError, match="section 'Sices'; it is one of"):
        whole("Sices", "a size", (1, 2))


def test_an_optional_field_takes_none_and_the_others_do_not():
    for name, field in FIELDS.items():
        if field.optional or (isinstance(field.kind, Choice) and None in field.kind.values):
            assert field.check(name, None) is None
        else:
            with pytest.raises(ConfigError, match=f"config: {name} is None; it is "):
                field.check(name, None)
