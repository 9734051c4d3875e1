"""Subcommands about the folders of models from outside."""
