"""The slow oracle: every operation as a formula over numbers that remember what made them."""
