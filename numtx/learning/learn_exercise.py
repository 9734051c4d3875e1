"""`numtx learn N --exercise`: a file with the holes of a lesson."""

from __future__ import annotations

import shlex
from pathlib import Path

from ..errors import FileError
from ..show.wrap import tell


def write_exercise(number: str, path: str, lang: str) -> int:
    """Write the file, under a name of its own where `path` is empty. None is replaced, for a
    solution may stand in it."""
    from ..answering.exercise import of_lesson
    from ..answering.run import template
    from ..arguments.options import put_text
    from ..show.headings import below

    path = path or f"exercise_{number}.py"
    if Path(path).is_file():
        raise FileError(f"{path} exists, and may hold your solution; name another file")
    put_text(path, template(of_lesson(number), number, lang))
    if Path(path).is_file():  # no pipe, in which more words would be part of the exercise
        name = shlex.quote(path)
        zh, en = f"已写入 {path}；填好后运行 numtx check {name}", (
            f"{path} is written; fill it in, then: numtx check {name}")  # fmt: skip
        tell(below(lang, zh, en))
    return 0


def invite(number: str, lang: str) -> None:
    """Say at the end of a lesson what there is to write, where there is something."""
    from ..answering.exercise import exercises
    from ..show.headings import below

    names = ", ".join(one.name for one in exercises().values() if one.lesson == number)
    if names:
        asked = f"numtx learn {number} --exercise"
        print("\n" + below(lang, f"自己写: {names}\n  {asked}", f"To write: {names}\n  {asked}"))
