"""The frame of every page, with its contents, search and keys; and a plain text as a page."""
