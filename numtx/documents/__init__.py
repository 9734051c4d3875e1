"""The ledger of the five documents: every figure, shape, sequence and claim, with a computation."""
