"""The stages of a run as data: the catalogue of leaves, their wiring, and the slow oracle."""
