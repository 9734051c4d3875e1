"""What several subcommands take from the command line: options, models, choices, what-ifs."""
