"""A run to take away: as Markdown, as tables for a spreadsheet."""
