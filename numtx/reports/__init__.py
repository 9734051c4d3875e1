"""Pages beyond one run: of an example, two runs side by side, a generation, a lesson's text."""
