"""`python -m wicket`: the same as the command `wicket`."""

import sys

from wicket.start import main

if __name__ == "__main__":
    sys.exit(main())
