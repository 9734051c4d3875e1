"""`numtx gradcheck`: gradients beside finite differences."""
