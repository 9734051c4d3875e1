from .matrix import main

raise SystemExit(main())
