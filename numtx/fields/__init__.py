"""How a field of a configuration is declared: its kind, bounds, words, what to draw."""
