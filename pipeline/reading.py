"""Reading JSON off the event loop, where there is much of it.

10 MB of nothing but small values take two seconds to read. In a thread most of that is shared with everybody else; the
parser itself holds the interpreter for as long as it takes, a third of the whole at worst. What is read, and how
strictly, is decided by whoever hands in `read`.
"""

from collections.abc import Callable
from typing import TypeVar

from anyio import to_thread

LARGE = 131_072
"""Bytes that are read where they came: some milliseconds at worst, and nearly every message is shorter."""

T = TypeVar("T")


async def read_apart(read: Callable[[bytes], T], raw: bytes) -> T:
    """What `read` makes of a text, read in a thread if it is large. What `read` raises is raised."""
    return read(raw) if len(raw) <= LARGE else await to_thread.run_sync(read, raw)
