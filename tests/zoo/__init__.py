"""Every planted bug, once, with the checks and laws that must speak; `numtx laws --zoo` runs it."""
