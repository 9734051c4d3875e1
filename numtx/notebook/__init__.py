"""For notebooks: results that show themselves, and lessons as notebooks."""
