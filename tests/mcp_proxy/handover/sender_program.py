"""`wicket stdio` without the command line: hands its pipes to whoever listens. Arguments: the socket, the command."""

import os
import sys
from pathlib import Path

from mcp_proxy.handover.sender import Hello, hand_over

if __name__ == "__main__":
    outcome = hand_over(Path(sys.argv[1]), Hello("home", "digest", {}, "wrapped", "key"), sys.argv[2:], os.environ)
    if outcome is None:
        sys.exit("nobody took it")
    for text in outcome.say:
        sys.stderr.write(f"{text}\n")
    sys.exit(outcome.code)
