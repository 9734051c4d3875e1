"""Completion in a shell: every command and every option of the parser is there."""

import argparse
import subprocess

import pytest
import terminal

from numtx.arguments.completion import SHELLS
from numtx.cli import COMMANDS, parser
from numtx.examples.registry import EXAMPLES

# Completes lines as bash does when Tab is pressed after each.
TAB = """
while IFS= read -r line; do
    read -ra COMP_WORDS <<< "$line"
    [[ $line == *' ' ]] && COMP_WORDS+=('')
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _numtx; echo "${COMPREPLY[*]}"
done
"""


def completed(capsys: pytest.CaptureFixture[str], *lines: str) -> list[set[str]]:
    code, script, err = terminal.run(capsys, "--completion", "bash")
    assert (code, err) == (0, "")
    told = subprocess.run(
        ["bash", "-c", script + TAB], input="\n".join(lines) + "\n", capture_output=True, text=True
    )
    assert told.stderr == ""
    return [set(line.split()) for line in told.stdout.split("\n")[:-1]]


def test_tab_in_bash(capsys):
    every, some, languages, files, names, pictures, flag = completed(
        capsys, "numtx ", "numtx tra", "numtx trace --lang ", "numtx trace --npz ",
        "numtx trace we", "numtx cell cat --lang z", "numtx trace --gradients --mark",
    )  # fmt: skip
    assert set(COMMANDS) | {"--help", "--version", "--completion"} <= every
    assert some == {"trace", "train"}
    assert languages == {"zh", "en", "both"}
    assert files == set()  # left to the shell, which knows the files
    assert names == {"weather"}
    assert pictures == {"zh"}
    assert flag == {"--markdown"}  # --gradients takes no value


def test_every_option_of_every_command(capsys):
    action = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    found = completed(capsys, *(f"numtx {name} " for name in action.choices))
    for (name, one), words in zip(action.choices.items(), found, strict=True):
        assert words >= set(one._option_string_actions), name
    assert set(EXAMPLES) <= found[list(action.choices).index("trace")]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_has_a_script(capsys, shell):
    code, script, err = terminal.run(capsys, "--completion", shell)
    assert (code, err) == (0, "")
    assert "complete" in script and all(name in script for name in COMMANDS)
    assert "%(" not in script


def test_a_shell_that_is_not_known_is_told(capsys):
    code, _, err = terminal.run(capsys, "--completion", "tcsh")
    assert code == 2 and "bash" in err and len(err.splitlines()) == 1
