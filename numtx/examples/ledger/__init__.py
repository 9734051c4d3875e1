"""The ledger: every figure, shape, sequence and checkable claim of the five documents, computed."""
