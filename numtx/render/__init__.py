"""From plain data to text, HTML and pictures. Nothing here computes a stage."""
