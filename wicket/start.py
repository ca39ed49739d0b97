"""Where the command begins: it loads what the command needs, and only then lets the garbage collector work.

Loading makes some hundred thousand objects that stay. The collector would go through them again and again while they
are made, which takes a fifth of the time in which a proxy starts. What the commands are is `cli.py`.
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
    gc.freeze()  # not collected before: of all this, about one object in a hundred is ever left behind
    gc.enable()
    return int(cli.main(arguments))
