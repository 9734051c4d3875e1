"""`numtx trace --markdown FILE` and `--csv DIR`."""

import pytest
import terminal

from numtx import load_example


def test_markdown_to_standard_output_is_nothing_else(capsys):
    code, out, err = terminal.run(
        capsys, "trace", "weather", "--stage", "logits", "--markdown", "-", "--lang", "en"
    )
    assert (code, err) == (0, "")
    title = load_example("weather").title.en
    assert (
        out.startswith(f"# weather: {title}\n\n## Output")
        and "\n### " in out
        and out.count("\n|") == 9
    )


def test_files_are_written_and_said(capsys, tmp_path):
    markdown, folder = str(tmp_path / "run.md"), str(tmp_path / "tables")
    code, out, err = terminal.run(
        capsys, "trace", "--quiet", "--markdown", markdown, "--csv", folder, "--stage", "loss*"
    )
    assert (code, err) == (0, "")
    assert markdown in out and folder in out
    assert "`loss = 3.2210`" in (tmp_path / "run.md").read_text(encoding="utf-8")
    assert {p.name for p in (tmp_path / "tables").iterdir()} == {
        "stages.csv", "loss.csv", "loss.per_token.csv"
    }  # fmt: skip


@pytest.mark.parametrize("options", [("--markdown", "-", "--json", "-"), ("--csv", "{file}")])
def test_what_cannot_be_is_told_in_one_line(capsys, tmp_path, options):
    (tmp_path / "file").write_text("")
    given = [part.format(file=tmp_path / "file") for part in options]
    code, out, err = terminal.run(capsys, "trace", *given)
    assert (code, out) == (2, "") and len(err.splitlines()) == 1
