"""What a reader has written for an exercise: run, judged, and talked about."""
