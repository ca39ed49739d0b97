"""Exit codes, the same for every command. `docs/cli.md` lists them."""

from enum import IntEnum
from typing import Self, cast


class Exit(IntEnum):
    """How a command ended."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """A code with its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    DONE = 0, "it was done, or what was checked is sound"
    FOUND = 1, "it ran, and what was checked is not sound"
    USAGE = 2, "the command line is wrong; or, of `audit verify`, there was nothing to check"
    CONFIG = 3, "the configuration, a policy or a secret cannot be used"
    ABSENT = 4, "there is no such thing, or it is no longer in a state in which this can be done"
    UNAVAILABLE = 5, "something needed is not there: a port is taken, the database cannot be reached"
    INTERNAL = 70, "a mistake of this program"
    INTERRUPTED = 130, "stopped from the keyboard"


class CommandError(Exception):
    """Why a command cannot go on: what, where, how to mend, in one line."""

    def __init__(self, exit_code: Exit, message: str) -> None:
        self.exit_code = exit_code
        super().__init__(message)


def first_of(error: Exception) -> Exception:
    """The error itself, or the first one in what task groups raised: the one that made the others happen."""
    if isinstance(error, ExceptionGroup):
        inner = cast("ExceptionGroup[Exception]", error)
        return first_of(inner.exceptions[0])
    return error
