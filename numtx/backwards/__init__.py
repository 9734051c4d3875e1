"""Backward passes of somebody else's, held against finite differences."""
