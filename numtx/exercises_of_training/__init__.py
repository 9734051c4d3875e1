"""Exercises of the lessons on what is learned by: norms, losses, gradients, optimisers."""
