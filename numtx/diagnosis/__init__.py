"""Which known mistake makes the numbers of a file: of its values, or of its gradients."""
