"""Two runs side by side: the first difference, and the known mistake that explains it."""
