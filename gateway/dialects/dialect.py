"""What the gateway must know about an LLM wire format, and nothing about hosts, keys or sockets.

A dialect is a lens: it reads what it understands and leaves the rest as it came. Who serves the wire is the business
of `gateway/routing.py` and `gateway/providers`; what is done with what was read, of `gateway/endpoint.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from governance.exchange import Body, Role, ToolUse
from governance.jsontree import Json
from governance.sse import SseEvent


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counted them, in one meaning for every wire."""

    model: str = ""
    """The model that answered."""
    input_tokens: int = 0
    """All tokens that went in, those read from and written to a cache included."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that clients of a wire ask for."""

    path: str
    """Path below the provider's base URL."""
    metered: bool = True
    """Whether it uses tokens that somebody pays."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for."""

    model: str
    stream: bool
    body: Body
    """What is judged and sent."""
    adds_usage: bool = False
    """Whether the usage of the stream is asked for by us, so that the client must not notice it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something went wrong, in words for the client. How it came about is decided by `gateway/errors.py`."""

    status: int
    code: str
    """Stable word for programs, for example `model_not_found`."""
    message: str
    retry_after: int = 0
    """Seconds after which to try again; 0 = do not say."""
    details: Mapping[str, str] | None = None
    """What a program may want to know besides: `rule`, `exchange`, `ticket`, `link`."""
    allow: tuple[str, ...] = ()
    """The methods that are served, where the method was wrong."""


class Piece(NamedTuple):
    """A piece of streamed text: where it stands in its event, and to which running text it belongs."""

    channel: str
    pointer: str
    text: str
    whole: bool = False
    """Whether the text stands for itself, with nothing to come that would continue it."""
    role: Role = Role.ASSISTANT
    """Whose words it is judged as: the same as in an answer that is not streamed."""
    fixed: bool = False
    """Whether it cannot be replaced (a member's name, an id): where it must not leave, the stream ends."""


class Begun(NamedTuple):
    """A tool call that began in a stream."""

    id: Json
    """What the provider calls it."""
    name: Json
    """The tool as the model knows it."""
    arguments: Json = None
    """Its arguments, where they came at once."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one event of a stream says."""

    event: SseEvent
    value: Json = None
    pieces: Sequence[Piece] = ()
    ends: Sequence[str] = ()
    """Prefixes of the channels that this event ends; what is held back of them leaves first."""
    is_last: bool = False
    """Whether the stream is complete with this event."""
    hidden: bool = False
    """Whether the client did not ask for this event."""


class Reader(Protocol):
    """Reads one stream, event by event."""

    usage: Usage
    """What is known of the usage so far."""
    has_usage: bool
    """Whether `usage` is the provider's final word."""
    failed: bool
    """Whether the provider said that something went wrong."""
    calls: dict[str, Begun]
    """The tool calls that began and that an agent is to make, by the channel in which their arguments run."""

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its end, even if the stream does not say so."""
        ...

    def read(self, event: SseEvent) -> Reading:
        """What the event says.

        Raises:
            MalformedError: it holds data that is not the JSON this wire asks for.
        """
        ...

    def splice(self, reading: Reading, changes: Mapping[str, str]) -> bytes | None:
        """The same as `write` with every other byte as it came; None where that cannot be done for certain."""
        ...

    def write(self, reading: Reading, changes: Mapping[str, str]) -> bytes:
        """The event with the texts at some pointers replaced, written anew from its value."""
        ...

    def carry(self, reading: Reading, piece: Piece, text: str) -> bytes:
        """An event that brings `text` as the continuation of `piece` and says nothing else."""
        ...


class Dialect(Protocol):
    """One LLM wire format."""

    wire: str
    """Name in the configuration of a provider."""
    vocabulary: str
    """The vocabulary (`gateway/vocabulary`) that counts about as this wire's models do; empty = none is known."""
    operations: Mapping[str, Operation]
    """What is served, by path."""
    passed_headers: frozenset[str]
    """Names of the client's headers (lower case) that this wire defines and the provider should see."""
    passed_prefixes: tuple[str, ...]
    """The same by prefix."""
    passed_query: frozenset[str]
    """Names of the query parameters that this wire defines; with any other a request is refused."""

    def parse(self, raw: bytes) -> Asked:
        """Read a request strictly.

        Raises:
            MalformedError: not JSON that every parser reads the same way, or not a request of this wire.
        """
        ...

    def answer(self, raw: bytes) -> Body:
        """Read a whole answer strictly.

        Raises:
            MalformedError: as `parse`.
        """
        ...

    def settled(self, answered: Body) -> Body:
        """An answer that was edited, without what would still tell the text that was taken out."""
        ...

    def usage(self, value: Json) -> Usage | None:
        """The usage that a whole answer states, if it does."""
        ...

    def calls(self, value: Json) -> list[ToolUse]:
        """The tool calls of a whole answer that an agent is to make."""
        ...

    def reader(self, asked: Asked) -> Reader:
        """A reader for one stream."""
        ...

    def error(self, problem: Problem, request_id: str) -> bytes:
        """The body of an error in this wire's own shape."""
        ...

    def error_event(self, problem: Problem, request_id: str) -> bytes:
        """The event that ends a stream with an error in this wire's own shape."""
        ...
