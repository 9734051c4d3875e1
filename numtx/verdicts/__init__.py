"""Subcommands that end in a verdict and its exit code, one file each."""
