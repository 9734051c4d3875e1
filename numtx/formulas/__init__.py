"""The formulas of operations that have a file of their own, over numbers that remember."""
