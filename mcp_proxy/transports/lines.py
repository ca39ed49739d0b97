"""Lines out of a byte stream, for transports that end each message with a line feed.

Sans-io: chunks in, lines out. It knows nothing of what a line says.
"""


class LineTooLongError(ValueError):
    """A line is longer than the limit. The splitter that raised it cannot go on."""


class LineSplitter:
    """Cuts a stream into lines, however it is chunked. Empty lines are left out; a CR before the LF is dropped.

    Args:
        max_bytes: Most bytes a line may have, so that a peer cannot fill the memory with one that never ends.
    """

    def __init__(self, max_bytes: int) -> None:
        self._limit = max_bytes
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes.

        Raises:
            LineTooLongError: a line, finished or not, is beyond the limit.
        """
        first, *rest = chunk.split(b"\n")
        self._keep(first)
        if not rest:
            return []
        lines = [b"".join(self._parts), *rest[:-1]]
        self._parts, self._size = [], 0
        self._keep(rest[-1])
        if len(chunk) > self._limit and max(map(len, lines)) > self._limit:
            raise LineTooLongError(f"a line is longer than {self._limit} bytes")
        return [line.removesuffix(b"\r") for line in lines if line not in (b"", b"\r")]

    def close(self) -> bytes:
        """What came after the last line end, and nothing more."""
        rest = b"".join(self._parts)
        self._parts, self._size = [], 0
        return rest

    def _keep(self, part: bytes) -> None:
        if not part:
            return
        self._parts.append(part)
        self._size += len(part)
        if self._size > self._limit:
            raise LineTooLongError(f"a line is longer than {self._limit} bytes")
