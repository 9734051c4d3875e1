"""Subcommands that run a model and print it, one file each."""
