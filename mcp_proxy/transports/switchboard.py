"""Which call a message belongs to, on transports that mix everything into one pipe (stdio, HTTP+SSE).

Responses are matched by id, progress by its token, subscriptions by their id. Log messages and requests of a legacy
server carry no link to a call, so those go by a rule of thumb that never crosses from one client to another. It does
no I/O and judges nothing.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.link import UpstreamError
from mcp_proxy.message import Message, RequestId, result_of
from mcp_proxy.transports.mailbox import Mailbox
from mcp_proxy.transports.splice import Path, with_ids

log = logging.getLogger(__name__)

SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
LISTEN = "subscriptions/listen"
CANCELLED = "notifications/cancelled"
PROGRESS = "notifications/progress"
METHOD_NOT_FOUND = -32601

SESSION_WIDE = frozenset(
    {
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
        "notifications/resources/updated",
        "notifications/elicitation/complete",
    }
)
"""Notifications that no single call causes."""

SESSION_BYTES = 4 * 1024 * 1024
"""How much a server may say of its own accord while nobody listens."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A request on its way: its id and progress token as the client knows them and as the server does."""

    id: RequestId
    wire_id: RequestId
    method: str
    token: RequestId | None
    wire_token: RequestId | None
    mailbox: Mailbox


class Switchboard:
    """Sorts the messages of one server process or stream.

    Args:
        shared: Whether several clients use the pipe. Their ids and tokens may be equal, so each is replaced by a number
            of ours on the way out and put back on the way in. A single client's messages stay byte for byte.
        strangers: Whether those clients may be of different principals. What belongs to no call is then dropped, even
            while only one call is open: it may be the echo of somebody else's.
        max_bytes: Most bytes that may wait for the reader of one call.
        silence: Seconds without an event after which a call is given up.
        owner: Name of the server in messages.
    """

    def __init__(self, *, shared: bool, max_bytes: int, silence: float, owner: str, strangers: bool = False) -> None:
        self._shared = shared
        self._strangers = strangers
        self._max_bytes = max_bytes
        self._silence = silence
        self._owner = owner
        self._calls: dict[RequestId, Call] = {}
        self._tokens: dict[RequestId, Call] = {}
        self._numbers = count(1)
        self.session = Mailbox(max_bytes=SESSION_BYTES, forgetful=True, owner=owner)
        """What the server says of its own accord."""
        self.is_heard = False
        """Whether somebody reads `session`."""

    def depart(self, message: Message) -> tuple[Call, bytes]:
        """Enter a client's request; returns its call, and the bytes to write.

        Raises:
            UpstreamError: the client uses the id of a request that is still open.
        """
        if message.id is None:
            raise UpstreamError("only a request can be answered")
        token = _label(message.meta.get("progressToken"))
        wire_id, wire_token = message.id, token
        if self._shared:
            wire_id = next(self._numbers)
            wire_token = None if token is None else wire_id
        elif message.id in self._calls:
            raise UpstreamError("a request with this `id` is still open: use another `id`")
        mailbox = Mailbox(
            max_bytes=self._max_bytes,
            silence=None if message.method == LISTEN else self._silence,
            owner=self._owner,
        )
        call = Call(message.id, wire_id, message.method, token, wire_token, mailbox)
        self._calls[wire_id] = call
        if wire_token is not None:
            self._tokens[wire_token] = call
        return call, self._readdressed(message, call) if self._shared else message.raw

    def arrive(self, message: Message) -> JsonObject | None:
        """Deliver a message of the server. Returns what the server must be told, if anything."""
        if message.is_response:
            self._answer(message)
            return None
        if message.method == PROGRESS:
            token = _label(message.params.get("progressToken"))
            call = self._tokens.get(token) if token is not None else None
            if call is not None and call.token is not None:
                call.mailbox.put(self._as_counted(message, call.token) if self._shared else message)
            return None
        call = self._subscription(message)
        if call is not None:
            call.mailbox.put(self._as_subscribed(message, call))
            if message.method == CANCELLED:
                self.finish(call)
            return None
        return self._deliver_unlinked(message)

    def finish(self, call: Call, error: UpstreamError | None = None) -> bool:
        """Strike a call out and end its mailbox. Returns whether it was still open."""
        if call.wire_token is not None and self._tokens.get(call.wire_token) is call:
            del self._tokens[call.wire_token]
        call.mailbox.end(error)
        return self._calls.pop(call.wire_id, None) is not None

    def fail(self, wire_id: RequestId, error: UpstreamError) -> None:
        """End the call with this id, if there is one, with an error."""
        call = self._calls.get(wire_id)
        if call is not None:
            self.finish(call, error)

    def find(self, client_id: Json) -> Call | None:
        """The open call that the single client knows by this id."""
        label = _label(client_id)
        return None if label is None or self._shared else self._calls.get(label)

    def lose(self, error: UpstreamError) -> None:
        """The pipe is gone: every call ends with `error`."""
        for call in list(self._calls.values()):
            self.finish(call, error)
        self.session.end()

    @property
    def open_calls(self) -> int:
        """How many requests wait for their response."""
        return len(self._calls)

    def _answer(self, message: Message) -> None:
        call = self._calls.get(message.id) if message.id is not None else None
        if call is None:
            log.debug("server %s: a response without a request was dropped", self._owner)
            return
        call.mailbox.put(self._restored(message, call) if self._shared else message)
        self.finish(call)

    def _subscription(self, message: Message) -> Call | None:
        """The listen request that a message belongs to. Its tear-down may come as a cancellation of its id."""
        named = message.meta.get(SUBSCRIPTION_ID)
        if named is None and message.method == CANCELLED:
            named = message.params.get("requestId")
        label = _label(named)
        if label is None:
            return None
        call = self._calls.get(label)
        if call is None and isinstance(label, str) and label.isdecimal() and len(label) < len(str(2**53)):
            call = self._calls.get(int(label))  # some servers turn the id into text
        return call if call is not None and call.method == LISTEN else None

    def _deliver_unlinked(self, message: Message) -> JsonObject | None:
        if self._shared:
            # With several clients on the pipe a guess could show one client's words to another.
            if message.is_request:
                error: JsonObject = {"code": METHOD_NOT_FOUND, "message": "requests from the server are not accepted"}
                return {"jsonrpc": "2.0", "id": message.id, "error": error}
            only = None if self._strangers else self._only_call
            if only is not None:
                only.mailbox.put(message)
            return None
        self._unlinked_mailbox(message).put(message)
        return None

    def _unlinked_mailbox(self, message: Message) -> Mailbox:
        if message.method in SESSION_WIDE:
            return self.session
        only = self._only_call
        if only is not None:
            return only.mailbox
        if message.is_request and self._calls and not self.is_heard:
            return next(reversed(self._calls.values())).mailbox  # any stream reaches the one client there is
        return self.session

    @property
    def _only_call(self) -> Call | None:
        """The call that is under way, if it is the only one. Nothing but its own messages comes on a subscription."""
        found = [call for call in self._calls.values() if call.method != LISTEN]
        return found[0] if len(found) == 1 else None

    # -- putting our numbers in, and theirs back ----------------------------------------------------------------------

    def _readdressed(self, message: Message, call: Call) -> bytes:
        changes: list[tuple[Path, RequestId]] = [(("id",), call.wire_id)]
        if call.wire_token is not None:
            changes.append((("params", "_meta", "progressToken"), call.wire_token))
        return with_ids(message.raw, changes) or jsontree.dump(_replaced(message, changes))

    def _restored(self, message: Message, call: Call) -> Message:
        changes: list[tuple[Path, RequestId]] = [(("id",), call.id)]
        if call.method == LISTEN:
            meta = jsontree.as_object(result_of(message).get("_meta"))
            if _label(meta.get(SUBSCRIPTION_ID)) is not None:
                changes.append((("result", "_meta", SUBSCRIPTION_ID), call.id))
        return _with(message, changes, call.id)

    def _as_counted(self, message: Message, token: RequestId) -> Message:
        return _with(message, [(("params", "progressToken"), token)], message.id)

    def _as_subscribed(self, message: Message, call: Call) -> Message:
        if not self._shared:
            return message
        named: list[Path] = []
        if _label(message.meta.get(SUBSCRIPTION_ID)) is not None:
            named.append(("params", "_meta", SUBSCRIPTION_ID))
        if message.method == CANCELLED and _label(message.params.get("requestId")) is not None:
            named.append(("params", "requestId"))
        return _with(message, [(path, call.id) for path in named], message.id)


def _label(value: Json) -> RequestId | None:
    return value if type(value) is str or type(value) is int else None


def _with(message: Message, changes: Sequence[tuple[Path, RequestId]], request_id: RequestId | None) -> Message:
    """The message with other ids where `changes` say, in its own bytes if that can be done."""
    value = _replaced(message, changes)
    raw = with_ids(message.raw, changes) or jsontree.dump(value)
    return replace(message, raw=raw, value=value, id=request_id)


def _replaced(message: Message, changes: Sequence[tuple[Path, RequestId]]) -> JsonObject:
    pointers = {"".join(f"/{jsontree.escape(name)}" for name in path): new for path, new in changes}
    return jsontree.as_object(jsontree.replaced(message.value, pointers))
