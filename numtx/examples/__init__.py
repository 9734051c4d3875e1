"""The documents' examples as data."""
