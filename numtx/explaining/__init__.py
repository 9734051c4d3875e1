"""The arithmetic of one cell, written out."""
