"""What a shell completes after `numtx`: made from the parser, so that it knows every option."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
_numtx() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" words=
    if ((COMP_CWORD == 1)); then
        words={first}
    else
        case "${{COMP_WORDS[1]}} ${{COMP_WORDS[COMP_CWORD-1]}}" in
{values}
        *)
            case "${{COMP_WORDS[1]}}" in
{commands}
            esac ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _numtx numtx
"""


def completion(top: argparse.ArgumentParser, shell: str, examples: list[str]) -> str:
    """A script that the shell reads once: `eval "$(numtx --completion bash)"`.

    examples  the words that can stand where a command takes an example

    Where a value has no choices, file names are completed.
    """
    if shell == "fish":
        return "".join(f"complete -c numtx {line}\n" for line in _fish(top, examples))
    script = _bash(top, examples)
    if shell == "zsh":
        return f"autoload -U +X bashcompinit && bashcompinit\n{script}"
    return script


def _commands(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    return dict(found.choices)


def _words(action: argparse.Action, examples: list[str]) -> list[str]:
    """What may stand as an argument or as the value of an option; empty where anything may."""
    if action.dest == "example":
        return examples
    return [] if action.choices is None else [str(choice) for choice in action.choices]


def _bash(top: argparse.ArgumentParser, examples: list[str]) -> str:
    values: dict[str, list[str]] = {}  # which options take these words
    commands = []
    for name, one in _commands(top).items():
        words: list[str] = []
        for action in one._actions:
            words += action.option_strings or _words(action, examples)
            if action.option_strings and action.nargs != 0:
                flags = (f'"{name} {flag}"' for flag in action.option_strings)
                values.setdefault(_list(_words(action, examples)), []).extend(flags)
        commands.append(f"            {name}) words={_list(words)} ;;")
    lines = [f"        {'|'.join(flags)}) words={words} ;;" for words, flags in values.items()]
    first = [*_commands(top), *(flag for a in top._actions for flag in a.option_strings)]
    return _BASH.format(first=_list(first), values="\n".join(lines), commands="\n".join(commands))


def _list(words: list[str]) -> str:
    return shlex.quote(" ".join(words))


def _fish(top: argparse.ArgumentParser, examples: list[str]) -> Iterator[str]:
    action = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    helps = {one.dest: one.help or "" for one in action._choices_actions}
    for name, one in _commands(top).items():
        yield f"-n __fish_use_subcommand -f -a {name} -d {shlex.quote(helps.get(name, ''))}"
        seen = f'-n "__fish_seen_subcommand_from {name}"'
        for option in one._actions:
            words = _words(option, examples)
            flags = " ".join(
                f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
                for flag in option.option_strings
            )
            takes = "" if not flags or option.nargs == 0 else " -x" if words else " -r"
            among = f" -a {_list(words)}" if words else ""
            if flags or words:
                about = shlex.quote((option.help or "").partition(" (")[0].replace("%%", "%"))
                yield f"{seen} {flags}{takes}{among} -d {about}"
