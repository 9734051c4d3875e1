"""Grids: one display width a line, digits never cut."""

from numtx.show.grid import Grid, clean, corners, display_width, grid_text

WIDE = Grid(
    ["0 今", "1 <bos>", "2 a"],
    [f"{j} 天" for j in range(12)],
    [[f"{i}{j}.25" for j in range(12)] for i in range(3)],
    ["| sum", "| max 今", ""],
)


def test_every_line_of_a_panel_has_one_display_width() -> None:
    for width in (30, 47, 200):
        for panel in grid_text(WIDE, width).split("\n\n"):
            assert len({display_width(line) for line in panel.split("\n")}) == 1


def test_columns_are_split_into_panels_and_every_cell_is_printed_once() -> None:
    text = grid_text(WIDE, 40)
    assert max(display_width(line) for line in text.split("\n")) <= 40
    for row in WIDE.cells:
        for cell in row:
            assert text.split().count(cell) == 1
    assert text.count("| max 今") == 1
    assert "\n\n" not in grid_text(WIDE, 200)


def test_a_column_wider_than_the_page_is_not_cut() -> None:
    assert "12345678901234567890" in grid_text(Grid(["r"], ["c"], [["12345678901234567890"]]), 10)


def test_hostile_tokens_become_visible() -> None:
    assert clean("a\nb\u202ec") == "a\\nb\\u202ec"
    assert clean("") == "''"


def test_corners() -> None:
    assert corners(5, 6) == [0, 1, 2, 3, 4]
    assert corners(100, 6) == [0, 1, 2, None, 97, 98, 99]
