"""Arrays of other implementations brought into the axes and shapes of stages."""
