"""`python -m tests.conformance`: what `make conformance` runs."""

import sys

from tests.conformance.run import main

if __name__ == "__main__":
    sys.exit(main())
