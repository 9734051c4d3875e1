"""A recorded run: its values, gradients and labels; in a file; checked by the oracle."""
