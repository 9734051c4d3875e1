"""The documents' four pictures, for the terminal and as SVG."""
