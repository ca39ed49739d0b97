"""Where the command begins: it loads what the command needs, and only then lets the garbage collector work.

What the commands are is `cli.py`; why the collector rests, `loading.py`.
"""

import gc
import importlib
import sys


def main() -> int:
    """Load what the command line asks for, and run it; returns its exit code."""
    gc.disable()
    # Not at the top of the file, because it has to happen after the line above.
    cli = importlib.import_module("wicket.cli")
    arguments = sys.argv[1:]
    cli.commands_for(arguments)
    gc.freeze()
    gc.enable()
    return int(cli.main(arguments))
