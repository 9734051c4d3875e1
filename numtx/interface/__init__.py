"""What the command line does, as functions: what they give can be printed, written and shown."""
