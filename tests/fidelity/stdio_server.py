"""The server of the checks over stdio. Run as a program: the argument is the file to write what was read into."""

import sys

from tests.fidelity.cases import CASES
from tests.fidelity.script import Machine


def _say(raw: bytes) -> None:
    sys.stdout.buffer.write(raw + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    machine = Machine(CASES, _say)
    with open(sys.argv[1], "ab", buffering=0) as journal:  # noqa: PTH123 - without pathlib this starts faster
        for line in sys.stdin.buffer:
            journal.write(line if line.endswith(b"\n") else line + b"\n")
            machine.take(line, _say)
