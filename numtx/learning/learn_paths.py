"""What each lesson needs, and two paths through them: for three evenings, and for a term."""

from __future__ import annotations

from collections.abc import Collection

# The lessons before it that a lesson builds upon at once.
NEEDS = {
    "01": "", "02": "01", "03": "02", "04": "03", "05": "04", "06": "05", "07": "06", "08": "07",
    "09": "05", "10": "05", "11": "09", "12": "11", "13": "12", "14": "12", "15": "09",
    "16": "07", "17": "07 10 12", "18": "04 12", "19": "05", "20": "05 12", "21": "12 14",
    "22": "14", "23": "22", "24": "22", "25": "24", "26": "12 21", "27": "14 22 24", "28": "12 27",
    "29": "12 15 18", "30": "06 19",
}  # fmt: skip
EVENINGS = ("01 02 03 04", "05 06 07", "09 11 12 15")
# Two lessons a week, in fifteen weeks.
TERM = (
    "01 02", "03 04", "05 06", "07 08", "09 10", "11 12", "13 14", "15 16", "17 20", "18 19",
    "21 22", "23 24", "25 26", "27 28", "29 30",
)  # fmt: skip
HELD = "\u00a0"  # a space that no line breaks at


def paths_text(numbers: Collection[str], lang: str, width: int = 80) -> list[str]:
    """The needs and the two paths in lines, where the lessons are those of numtx."""
    if not set(NEEDS) <= set(numbers):
        return []
    from ..show.wrap import wrap

    held = {n: f"{n} ({before})".replace(" ", HELD) for n, before in NEEDS.items() if before}
    days, weeks = ([part.replace(" ", HELD) for part in path] for path in (EVENINGS, TERM))
    zh, en = (
        (f"{needs}: {'; '.join(held.values())}", f"{evenings}: {'; '.join(days)}",
         f"{term}: {'; '.join(weeks)}")
        for needs, evenings, term in (
            ("每课先要哪几课（括号里）", "三个晚上", "一个学期，每周两课"),
            ("What each needs first (in brackets)", "Three evenings", "A term, two lessons a week"),
        )
    )  # fmt: skip
    texts = zh if lang == "zh" else en
    return [line.replace(HELD, " ") for text in texts for line in wrap(text, width, rest="  ")]
