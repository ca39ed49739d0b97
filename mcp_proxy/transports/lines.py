"""Lines out of a byte stream, for transports that end each message with a line feed.

Sans-io: chunks in, lines out. It knows nothing of what a line says.
"""


class LineTooLongError(ValueError):
    """A line is longer than the limit. The splitter that raised it cannot go on."""


class LineSplitter:
    """Cuts a stream into lines, however it is chunked. Empty lines are left out; a CR before the LF is dropped.

    Args:
        max_bytes: Most bytes a line may have, so that a peer cannot fill the memory with one that never ends.
        skip_overlong: Whether a line beyond the limit is left out and counted, instead of ending everything.
    """

    def __init__(self, max_bytes: int, *, skip_overlong: bool = False) -> None:
        self.skipped = 0
        """How many overlong lines were left out so far."""
        self._limit = max_bytes
        self._skip_overlong = skip_overlong
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes.

        Raises:
            LineTooLongError: a line, finished or not, is beyond the limit.
        """
        first, *rest = chunk.split(b"\n")
        self._keep(first)
        lines: list[bytes] = []
        for part in rest:
            if self._size > self._limit:
                self.skipped += 1
            else:
                line = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
                lines.append(line.removesuffix(b"\r"))
            self._parts, self._size = [], 0
            self._keep(part)
        return [line for line in lines if line]

    def _keep(self, part: bytes) -> None:
        if not part:
            return
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
        elif self._skip_overlong:
            self._parts = []
        else:
            raise LineTooLongError(f"a line is longer than {self._limit} bytes")
