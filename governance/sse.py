"""Server-sent events as bytes in, events out, and back (WHATWG HTML, section 9.2 "Server-sent events").

Sans-io and shared by everything that streams. It keeps the exact bytes of each event, so that a relay that changes
nothing sends exactly what it received. What an event means is the business of whoever reads it.
"""

import re
from dataclasses import dataclass, replace

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment: clients ignore it, and idle connections stay open."""

DEFAULT_MAX_EVENT_BYTES = 64 * 1024 * 1024

BOM = b"\xef\xbb\xbf"
"""May stand before the first event, and is no part of it."""
_END_OF_EVENT = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")  # atomic: CR LF is one line end, never two
_LONGEST_END = 4
_LINE_END = re.compile(rb"\r\n|\r|\n")
_MAX_RETRY_DIGITS = 12


class EventTooLargeError(ValueError):
    """An event is larger than the limit. The parser that raised it cannot go on."""


@dataclass(frozen=True, slots=True)
class SseEvent:
    """One block of a stream, from the end of the block before it to the blank line that ends it.

    Blocks without data (comments, a lone `retry`) are events too, so that joining every `raw` gives the stream back.
    """

    event: str = ""
    """The event's name; empty where the stream names none, which clients read as `message`."""
    data: bytes | None = None
    """The data lines joined by a line feed, as received (not yet known to be UTF-8); None without a data line."""
    id: str | None = None
    """The event id, which a client sends back as `Last-Event-ID`."""
    retry: int | None = None
    """Milliseconds to wait before connecting again."""
    raw: bytes = b""
    """The exact bytes, blank line included. Ignored by `encode`."""
    plain: bool = True
    """Whether the bytes hold nothing but what the name and the data say: no comment, no id, no other field."""


class SseParser:
    """Reads a stream of events from chunks cut at any place.

    Args:
        max_event_bytes: Most bytes one event may have; the buffer never grows beyond it by more than one chunk.
    """

    def __init__(self, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._swallowed = b""
        self._ended_by_cr = False
        self._is_first = True

    @property
    def held(self) -> int:
        """Bytes of an event that is not complete."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that `chunk` completes.

        Raises:
            EventTooLargeError: an event, finished or not, is beyond the limit.
        """
        if self._ended_by_cr and chunk:
            # The last event ended with a CR and was given out at once; this LF is the other half of that line end.
            self._ended_by_cr = False
            if chunk.startswith(b"\n"):
                self._swallowed = b"\n"
                chunk = chunk[1:]
        self._buffer += chunk
        events: list[SseEvent] = []
        start = 0
        while found := _END_OF_EVENT.search(self._buffer, max(start, self._searched)):
            events.append(self._read(bytes(self._buffer[start : found.end()])))
            start = found.end()
        if start:
            self._ended_by_cr = start == len(self._buffer) and self._buffer.endswith(b"\r")
            del self._buffer[:start]
        self._searched = max(0, len(self._buffer) - _LONGEST_END + 1)
        self._check_size(len(self._buffer))
        return events

    def close(self) -> list[SseEvent]:
        """The last event if the stream ended without its blank line, else nothing.

        The specification discards it; some servers forget the blank line after their last event, so the reader decides.
        """
        rest = bytes(self._buffer)
        self._buffer.clear()
        return [self._read(rest)] if rest or self._swallowed else []

    def _read(self, block: bytes) -> SseEvent:
        self._check_size(len(block))
        raw = self._swallowed + block
        self._swallowed = b""
        if self._is_first:
            self._is_first = False
            block = block.removeprefix(BOM)
        return event_of(block, raw)

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise EventTooLargeError(f"an event of the stream is larger than {self._limit} bytes")


def event_of(block: bytes, raw: bytes) -> SseEvent:
    """The event of one block; `raw` is what it stood in, which may begin with more than the block."""
    name, event_id, retry = "", None, None
    data: list[bytes] = []
    plain = True
    for line in block.splitlines():  # on bytes: CR, LF and CR LF only
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
            continue
        if field == b"event":
            plain = plain and not name
            name = value.decode(errors="replace")
            continue
        plain = plain and not line
        if field == b"id" and b"\0" not in value:
            event_id = value.decode(errors="replace")
        elif field == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            retry = int(value)
    return SseEvent(name, b"\n".join(data) if data else None, event_id, retry, raw, plain and bool(data))


def bare(event: SseEvent, name: str = "") -> SseEvent:
    """The event with only what can be judged: its data, a name and `retry`. Without data it is a sign of life.

    Comments, ids and fields that no client knows are dropped: a peer could write anything there.
    """
    said = SseEvent(name, event.data, None, event.retry) if event.data is not None else SseEvent(retry=event.retry)
    return replace(event, event=said.event, id=None, raw=encode(said), plain=True)


def encode(event: SseEvent) -> bytes:
    """The bytes of an event; what is None or unnamed is left out. Line ends inside the data become new data lines.

    Raises:
        ValueError: the name or id holds a line end or NUL, which would forge fields.
    """
    for label in (event.event, event.id or ""):
        if any(mark in label for mark in "\r\n\0"):
            raise ValueError("an event's name or id may not hold a line end or NUL")
    lines: list[bytes] = []
    if event.event:
        lines.append(b"event: " + event.event.encode())
    if event.id is not None:
        lines.append(b"id: " + event.id.encode())
    if event.retry is not None:
        lines.append(b"retry: %d" % event.retry)
    if event.data is not None:
        lines += [b"data: " + line for line in _LINE_END.split(event.data)]
    return b"\n".join(lines) + b"\n\n" if lines else KEEP_ALIVE
