"""Exercises of the lessons on attention, positions and words, a function to be written each."""
