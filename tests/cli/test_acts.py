"""`numtx trace weather` and `cat` in the order of their documents."""

import numpy as np
import pytest
import terminal

from numtx.documents.acts import acts_text, rows_of_scene, stages_of
from numtx.documents.ledger import ROWS
from numtx.documents.scenes import ACTS
from numtx.examples.registry import load_example
from numtx.show.stage_grid import Style

SCENES = {name: [scene for act in acts for scene in act.scenes] for name, acts in ACTS.items()}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("weather", {}),
        ("weather", {"wiring": "as-written"}),
        ("cat", {}),
        ("story", {}),
        ("memory", {}),
        ("letters", {}),
    ],
)
def test_every_stage_stands_in_one_scene(name, options):
    trace = load_example(name, **options).trace(gradients=False)
    found = [stage for scene in SCENES[name] for stage in stages_of(trace, scene)]
    assert sorted(found) == sorted(trace.graph.stages)


def test_every_section_of_the_documents_with_acts_stands_in_one_scene():
    told = [section for name in ACTS for s in SCENES[name] for section in s.sections if section]
    wanted = {row.section for row in ROWS if row.document in ("002", "003", "004")}
    assert sorted(told) == sorted(wanted)


def test_figures_stand_in_the_scene_of_their_section():
    for scene in (scene for name in ACTS for scene in SCENES[name]):
        own = [r.id for r in ROWS if r.section in scene.sections and (r.at or r.labels)]
        assert [row.id for row in rows_of_scene(scene)] == own
        assert own or scene.stages or scene.run or scene.sections in NO_FIGURES, scene


NO_FIGURES = (["第五步"], ["对比·四"], ["Inference 4"])  # sections of claims alone


def test_stated_and_computed_stand_beside_each_other(capsys):
    code, out, _ = terminal.run(capsys, "trace", "weather", "--act", "2", "--lang", "zh")
    assert code == 0
    part = out.partition("003.scores ")[2].splitlines()
    line = next(line for line in part if line.strip().startswith("气"))
    cells = [float(x) for x in line.split()[1:]]
    trace = load_example("weather").trace(gradients=False)
    scores = trace["encoder.0.self_attention.scores"][0, 0, 3]
    assert cells[:7] == [0.58, 0.78, 0.78, 0.88, 0.76, 0.71, 0.75]
    assert np.abs(np.array(cells[7:]) - scores).max() < 0.01
    assert "queries = keys = values = encoder.input" in out


def test_tables_are_called_equal_only_where_they_are(capsys):
    example = load_example("weather")
    example.parameters["encoder.0.self_attention.w_k"][0, 1] = 0.5
    told = "\n".join(acts_text(example, example.trace(), Style(lang="en"), 2))
    assert "queries = values = encoder.input" in told


def test_an_act_that_does_not_exist_and_one_without_acts(capsys):
    for arguments in (["weather", "--act", "7"], ["padding", "--act", "1"],
                      ["cat", "--act", "1", "--stage", "loss"]):  # fmt: skip
        code, out, err = terminal.run(capsys, "trace", *arguments)
        assert (code, out) == (2, "") and err.count("\n") == 1


def test_the_loss_is_shown_as_a_sum_too(capsys):
    _, out, _ = terminal.run(capsys, "trace", "weather", "--act", "4", "--lang", "en")
    trace = load_example("weather").trace(gradients=False)
    assert f"sum {trace['loss.per_token'].sum():.4f}, divided by 7 labels" in out
