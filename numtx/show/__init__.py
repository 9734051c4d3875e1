"""Arrays, stages and runs as text for a terminal, as JSON and as pictures."""
