"""A provider's stream on its way to the client: bytes in, bytes out.

Sans-io. Events leave as the exact bytes they came in unless the guard of their text holds something back; then the
event is written again with what may leave, and the rest comes in a later event of the same channel. The last event
is kept for whoever settles the exchange. What is found in the text is decided by the strands it is fed to.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from gateway.dialects.calls import parsed, tool_use, tool_use_of_text
from gateway.dialects.dialect import Piece, Reader, Reading, Usage
from gateway.dialects.speech import is_label
from gateway.errors import UpstreamError
from governance import jsontree
from governance.exchange import Role, ToolUse
from governance.jsontree import MalformedError
from governance.sse import BOM, EventTooLargeError, SseEvent, SseParser, bare, event_of

MOST_CHANNELS = 65_536
"""Running texts of one stream; more is no model's answer."""


_MOST_NAMES = 64
HEAVY_BYTES = 262_144
"""Of one event. A model's are some hundred bytes."""


class Strand(Protocol):
    """The guard of one running text (`pipeline/passage.py`)."""

    def feed(self, text: str) -> str:
        """Take in more text; returns what may leave now."""
        ...

    def close(self) -> str:
        """The text ended; returns what was still held back."""
        ...

    def stuck(self) -> NoReturn:
        """Refuse the rest of the stream: what was found stands where it cannot be replaced."""
        ...


class StreamRelay:
    """One stream on its way.

    Args:
        reader: understands the events.
        strand: makes the guard of a channel, whose text is judged in a role.
        hide: takes out of an event what must not leave whatever any rule says (the provider's key).
        max_event_bytes: most bytes one event may have.
    """

    def __init__(
        self,
        reader: Reader,
        strand: Callable[[str, Role], Strand],
        *,
        hide: Callable[[bytes], bytes],
        max_event_bytes: int,
    ) -> None:
        self._reader = reader
        self._strand = strand
        self._hide = hide
        self._parser = SseParser(max_event_bytes)
        self._open: dict[str, tuple[Strand, Reading, Piece]] = {}
        self._opened = 0
        self._names = {""}
        """Names of events that were looked at."""
        self._tail: list[bytes] = []
        self._arguments: dict[str, tuple[list[str], int]] = {}
        """What left of the arguments of each call that began, and how many braces stand open in it."""
        self._told: set[str] = set()
        """Channels of the calls that were complete before they ended."""
        self.asked: list[ToolUse] = []
        """The tool calls that are complete with the bytes returned last."""
        self.is_over = False
        """Whether the last event came. Nothing after it is passed on."""
        self.texts: list[str] = []
        """The text so far, for an estimate where the provider never says how many tokens it were."""

    @property
    def is_heavy(self) -> bool:
        """Whether so much of an event has come that it is no work for the event loop when it is complete."""
        return self._parser.held > HEAVY_BYTES

    def taken(self) -> list[ToolUse]:
        """The tool calls that became complete since this was asked last."""
        asked, self.asked = self.asked, []
        return asked

    @property
    def failed(self) -> bool:
        """Whether the provider itself said that something went wrong."""
        return self._reader.failed

    @property
    def usage(self) -> Usage | None:
        """What the provider said it used; `None` where its final word never came."""
        return self._reader.usage if self._reader.has_usage else None

    @property
    def partial_usage(self) -> Usage:
        """What is known although the final word never came: the model, and perhaps what went in."""
        return self._reader.usage

    def feed(self, chunk: bytes) -> bytes:
        """Take in bytes of the provider; returns those that may leave now.

        Raises:
            UpstreamError: the stream is not what its wire demands.
            RefusedError: something in it must not leave.
        """
        try:
            events = self._parser.feed(chunk)
            if len(events) == 1 and not self.is_over:
                return self._pass(events[0])
            return b"".join([self._pass(event) for event in events if not self.is_over])
        except (MalformedError, EventTooLargeError):
            raise _not_its_wire() from None

    def close(self) -> bytes:
        """The provider's stream ended; returns the last bytes, which leave once the exchange is settled.

        Raises:
            UpstreamError: it ended before the answer was complete.
            RefusedError: something in it must not leave.
        """
        try:
            rest = [self._pass(event) for event in self._parser.close() if not self.is_over]
        except (MalformedError, EventTooLargeError):
            raise _not_its_wire() from None
        rest.append(self._end(""))
        self._end_calls(("",))
        if not self.is_over and not self._reader.is_complete and not self._reader.failed:
            raise UpstreamError(502, "provider_broke_off", "the provider broke off before its answer was complete")
        return b"".join([*rest, *self._tail])

    def _pass(self, event: SseEvent) -> bytes:
        shown = self._hide(event.raw)
        if shown is not event.raw:
            event = event_of(shown.removeprefix(BOM), shown)
        if not event.plain or (event.event not in self._names and not self._knows(event.event)):
            event = bare(event, event.event if self._knows(event.event) else "")
        reading = self._reader.read(event)
        if not reading.pieces and not reading.ends:
            return b"" if reading.hidden else reading.event.raw
        changes: dict[str, str] = {}
        for piece in reading.pieces:
            text = self._guarded(reading, piece)
            if text != piece.text:
                changes[piece.pointer] = text
        before = b"".join([self._end(prefix) for prefix in reading.ends]) if reading.ends else b""
        if self._reader.calls and reading.ends:
            self._end_calls(reading.ends)
        if reading.hidden:
            return before
        own = self._rewritten(reading, changes) if changes else reading.event.raw
        if reading.is_last:
            self.is_over = True
            self._tail.append(own)
            return before
        return before + own

    def _knows(self, name: str) -> bool:
        """Whether an event's name is a plain word; any other name is dropped, which clients read as `message`."""
        if name not in self._names and is_label(name) and len(self._names) < _MOST_NAMES:
            self._names.add(name)
        return name in self._names

    def _rewritten(self, reading: Reading, changes: dict[str, str]) -> bytes:
        if spliced := self._reader.splice(reading, changes):
            return spliced
        jsontree.strings(reading.value)  # what is written anew must be what every parser reads the same way
        return self._reader.write(reading, changes)

    def _guarded(self, reading: Reading, piece: Piece) -> str:
        """The text of a piece as it may leave now."""
        if not piece.fixed:
            self.texts.append(piece.text)
        known = self._open.get(piece.channel)
        strand = self._new_strand(piece) if known is None else known[0]
        text = strand.feed(piece.text)
        if piece.whole or (reading.ends and any(piece.channel.startswith(prefix) for prefix in reading.ends)):
            self._open.pop(piece.channel, None)
            text += strand.close()
            if piece.fixed and text != piece.text:
                strand.stuck()
        else:
            self._open[piece.channel] = (strand, reading, piece)
        if text and piece.role is Role.ARGUMENT and piece.channel in self._reader.calls:
            self._argue(piece.channel, text)
        return text

    def _argue(self, channel: str, text: str) -> None:
        """More of a call's arguments left. Some agents make the call as soon as they can read them."""
        parts, depth = self._arguments.get(channel, ([], 0))
        parts.append(text)
        depth += text.count("{") - text.count("}")
        self._arguments[channel] = (parts, depth)
        # A brace inside a text may lead this astray; then the call is complete where it ends.
        if depth == 0 and channel not in self._told and text.rstrip().endswith("}"):
            so_far = "".join(parts)
            if parsed(so_far) is not None:
                begun = self._reader.calls[channel]
                self._told.add(channel)
                self.asked.append(tool_use_of_text(begun.id, begun.name, so_far))

    def _end_calls(self, prefixes: Sequence[str]) -> None:
        """The calls under the prefixes are complete, also those whose arguments nobody can read."""
        for channel in [one for one in self._reader.calls if one.startswith(tuple(prefixes))]:
            begun = self._reader.calls.pop(channel)
            text = "".join(self._arguments.pop(channel, ([], 0))[0])
            if channel in self._told:
                self._told.discard(channel)
            elif begun.arguments and not text:
                self.asked.append(tool_use(begun.id, begun.name, begun.arguments))
            else:
                self.asked.append(tool_use_of_text(begun.id, begun.name, text))

    def _new_strand(self, piece: Piece) -> Strand:
        self._opened += 1
        if self._opened > MOST_CHANNELS:
            raise _not_its_wire()
        return self._strand(f"{piece.channel}#{self._opened}", piece.role)

    def _end(self, prefix: str) -> bytes:
        """Close the channels under a prefix; what was held back of them, as events."""
        ended = [channel for channel in self._open if channel.startswith(prefix)]
        held: list[bytes] = []
        for channel in ended:
            strand, reading, piece = self._open.pop(channel)
            if rest := strand.close():
                held.append(self._reader.carry(reading, piece, rest))
                if channel in self._reader.calls:
                    self._argue(channel, rest)
        return b"".join(held)


def _not_its_wire() -> UpstreamError:
    return UpstreamError(502, "provider_malformed", "the provider's answer is not what its wire demands")
