"""Numbers that remember: value, error bound, parents and text; sums of products over arrays."""
