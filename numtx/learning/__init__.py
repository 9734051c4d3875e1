"""`numtx learn`: the lessons, their exercises, and paths through them."""
