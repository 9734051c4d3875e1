"""`python -m numtx` is `numtx`."""

from .cli import main

raise SystemExit(main())
