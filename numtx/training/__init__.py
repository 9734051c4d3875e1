"""Training: optimisers, schedule, the loop and its checkpoint; the flow of gradients, shown."""
