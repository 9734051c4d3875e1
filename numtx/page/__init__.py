"""A run as one HTML file that computes in the browser."""
