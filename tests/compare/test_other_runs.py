"""Two runs that are not of the same thing: other ids, lengths, widths or parameters."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from samples import random_parameters

from numtx import Batch, Config
from numtx.cli import main
from numtx.compare.compare import compare
from numtx.compare.sides import Side, side_of
from numtx.trace.files import save_trace
from numtx.trace.trace import record
from numtx.verdicts.compare_report import report

SMALL = Config(model="decoder-only", width=4, decoder_layers=1, hidden=3, vocabulary=6)
WIDE = replace(SMALL, width=8)
IDS = [[1, 2, 3, 4]]
NO_FIT = "cause: not looked for, as the shapes do not fit; 0 stages are equal"


@pytest.mark.parametrize(
    "config, ids, left_out, said",
    [
        (SMALL, [[1, 2, 5, 4]], (), "nothing is computed here: the two runs were given other"),
        (SMALL, [[1, 2, 3, 4, 5]], (), NO_FIT),
        (SMALL, [[1, 2, 3, 4, 5]], ("inputs/",), NO_FIT),
        (SMALL, [[1, 2, 3, 4, 5]], ("inputs/", "decoder.tokens"), NO_FIT),
        (WIDE, IDS, (), "cause: not looked for, as the shapes do not fit; 3 stages are equal"),
        (WIDE, [[1, 2, 3]], (), NO_FIT),
    ],
)
def test_nothing_is_laid_to_stages_before_one_that_none_stands_before(
    tmp_path, capsys, config, ids, left_out, said
):
    paths = [str(tmp_path / "a.npz"), str(tmp_path / "b.npz")]
    save_trace(record(SMALL, random_parameters(SMALL, 0), Batch(IDS)), paths[0])
    other = record(config, random_parameters(config, 0), Batch(ids))
    save_trace(other, paths[1])
    if left_out:
        kept = {n: x for n, x in other.arrays.items() if not n.startswith(left_out)}
        np.savez(paths[1], **kept)
    assert main(["compare", *paths, "--lang", "en"]) == 1
    out = capsys.readouterr().out
    assert said in out and "mistake lies before" not in out and out.count("cause:") == 1
    first = out.partition("\n")[0]
    assert first.startswith("the configurations differ") == (config is WIDE and not left_out)


def test_a_stage_of_other_parameters_is_laid_to_them():
    trace = record(SMALL, random_parameters(SMALL, 0), Batch(IDS))
    other = record(SMALL, random_parameters(SMALL, 1), Batch(IDS))
    found = compare(Side("A", trace.arrays, trace), Side("B", other.arrays, other))
    assert "these differ: parameters/decoder.embedding" in str(found.causes[0])


def test_names_of_the_other_model_are_no_misspelt_ones_of_this():
    deep, gated = replace(SMALL, decoder_layers=2), replace(SMALL, gated=True)
    a, b = (record(c, random_parameters(c, 0), Batch(IDS)) for c in (gated, deep))
    for first, second in ((a, b), (b, a)):
        sides = side_of(first, "A"), side_of(second, "B")
        out = "\n".join(report(compare(*sides), *sides, True, 5, "en"))
        assert "decoder.1.self_attention" in out and "did you mean" not in out


def test_one_is_counted_as_one():
    trace = record(SMALL, random_parameters(SMALL, 0), Batch(IDS))
    names = "parameters/output.b", "logits"
    wrong = {names[0]: trace.arrays[names[0]] + 1.0, names[1]: trace.arrays[names[1]].copy()}
    wrong[names[1]][0, 0, 0] += 1.0
    for kept in ({**wrong}, {names[0]: trace.arrays[names[0]]}):
        sides = side_of(trace, "A"), Side("B", kept, None)
        out = "\n".join(report(compare(*sides), *sides, False, 5, "en"))
        plural = re.search(
            r"^1 parameters|\b1 of \d+ cells differ,|: 1 arrays|^1 stages are", out, re.M
        )
        assert plural is None, out
