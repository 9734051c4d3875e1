"""What laws are tried on beside models: attention operators, and choosers of tokens."""
