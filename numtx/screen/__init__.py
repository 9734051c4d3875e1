"""What only a terminal needs: the first screen of a trace, a pager, stepping, progress."""
