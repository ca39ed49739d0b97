"""Where the command begins: it loads what the command needs, and only then lets the garbage collector work.

What the commands are is `cli.py`; why the collector rests, `loading.py`.
"""

import gc
import importlib
import sys

from wicket.exits import Exit


def main() -> int:
    """Load what the command line asks for, and run it; returns its exit code."""
    gc.disable()
    # Not at the top of the file, because it has to happen after the line above.
    cli = importlib.import_module("wicket.cli")
    arguments = sys.argv[1:]
    try:
        cli.commands_for(arguments)
    except ImportError as error:
        return _explained(error)
    gc.freeze()
    gc.enable()
    return int(cli.main(arguments))


def _explained(error: ImportError) -> int:
    """What cannot be loaded was most likely looked for in a stranger's package that has the name of one of ours.

    Raises:
        ImportError: that is not the reason.
    """
    installation = importlib.import_module("wicket.installation")
    try:
        installation.check_installation()
    except installation.InstallationError as mixed:
        sys.stderr.write(f"error: {mixed}\n")
        return int(Exit.CONFIG)
    raise error
