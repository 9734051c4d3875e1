"""Tests that are written from what laws found; they need no numtx."""
