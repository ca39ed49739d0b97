"""`python -m bench.console`: what `make bench-console` runs."""

import sys

from bench.console.run import main

if __name__ == "__main__":
    sys.exit(main())
