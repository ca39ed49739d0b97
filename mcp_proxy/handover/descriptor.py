"""An open file that came to us by its number, to be given to the event loop and closed once.

Python's own files do not do: the fast event loop closes the number by itself and then the file, when another thread may
have been given the number for a file of its own, such as the database.
"""

import os
from types import TracebackType
from typing import Self


class Descriptor:
    """One end of a pipe.

    Args:
        number: of the open file, which is ours to close.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._identity = _identity(number)
        self._is_open = True

    def fileno(self) -> int:
        """Its number."""
        return self._number

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._number)

    def close(self) -> None:
        """Close it, unless that was done, and the number may be another's by now."""
        if self._is_open:
            self._is_open = False
            if _identity(self._number) == self._identity:
                os.close(self._number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _identity(number: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(number)
    except OSError:
        return None
    return status.st_dev, status.st_ino
