"""What laws are tried on: models behind the few methods that the laws ask of them."""
