"""What one run can be held against: the oracle, finite differences, tolerances of its terms."""
