"""What passes between a client and a server besides governed requests and their responses, both ways.

Notifications, other methods, and whatever a server sends before it answers or of its own accord: judged here, passed on
as it came, redacted, or dropped. Requests of a server go to `server_requests.py`. Nothing is sent here but by the
functions that are handed in.
"""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypeAlias

from governance import jsontree
from governance.exchange import Action, Body, Exchange, Phase, Resource, SessionRef, new_id
from governance.jsontree import Json
from governance.stage import RefusedError
from mcp_proxy import errors
from mcp_proxy.lens import Caller, facts_of, message_of, request_segments, response_of, result_segments
from mcp_proxy.link import Era, Event
from mcp_proxy.message import Message

log = logging.getLogger(__name__)

Put: TypeAlias = Callable[[Event], Awaitable[None]]
"""Sends one event to the client."""

LAST_EVENT_ID = "last-event-id"
_LISTEN = "subscriptions/listen"
_INFORMING = frozenset({"initialize", "server/discover"})
_NOTHING = Body({})
_LONGEST_PLACE = 1024


class Inspecting(Protocol):
    """The guard, as far as messages need it (`pipeline.guard.Guard`)."""

    async def inspect(self, exchange: Exchange, phase: Phase) -> Exchange:
        """Judge a message that is no exchange of its own."""
        ...


def frame(message: Message, caller: Caller, run: SessionRef, at: datetime) -> Exchange:
    """What a client's message is judged as that is not governed by an action of its own."""
    action = Action.SERVER_INFO if message.method in _INFORMING else Action.MESSAGE
    request = Body(message.value, raw=message.raw, strings=message.strings, lens=request_segments)
    return _frame(action, message.method, request, facts_of(message, caller), caller, run, at)


def frame_of_stream(caller: Caller, run: SessionRef, at: datetime, headers: Mapping[str, str]) -> Exchange:
    """What a server's own stream is judged as. The place that a client wants to resume from reaches the server too."""
    place = headers.get(LAST_EVENT_ID)
    request = _NOTHING if place is None else Body({"params": {"uri": place}}, lens=request_segments)
    facts: dict[str, Json] = {"plane": "mcp", "transport": caller.transport, "era": caller.era.value}
    return _frame(Action.MESSAGE, "", request, facts, caller, run, at)


def _frame(
    action: Action,
    name: str,
    request: Body,
    facts: Mapping[str, Json],
    caller: Caller,
    run: SessionRef,
    at: datetime,
) -> Exchange:
    resource = Resource(server=caller.server, name=name)
    return Exchange(new_id(at), at, action, caller.principal, resource, run, request, facts=facts)


async def to_server(gate: Inspecting, framed: Exchange, message: Message) -> Message:
    """The message as it may go to the server.

    Raises:
        RefusedError: it may not.
    """
    sent = message_of((await gate.inspect(framed, Phase.REQUEST)).request, message)
    if message.method == _LISTEN:
        # Who may not read a resource may not be told of its changes: in the legacy era each is a request of its own.
        wanted = jsontree.as_object(sent.params.get("notifications")).get("resourceSubscriptions")
        for uri in dict.fromkeys(one for one in jsontree.as_list(wanted) if isinstance(one, str)):
            resource = Resource(server=framed.resource.server, name=uri)
            request = Body({"params": {"uri": uri}}, lens=request_segments)
            read = replace(framed, action=Action.RESOURCE_READ, resource=resource, request=request)
            await gate.inspect(read, Phase.REQUEST)
    return sent


async def response_to_client(gate: Inspecting, framed: Exchange, message: Message) -> Message:
    """The response to a message that is not governed, as it may go to the client.

    Raises:
        RefusedError: it may not.
    """
    judged = await gate.inspect(replace(framed, response=response_of(message, framed.action)), Phase.RESPONSE)
    return message if judged.response is None else message_of(judged.response, message)


async def placed(gate: Inspecting, cause: Exchange, event: Event) -> Event:
    """The event, without its place where that must not reach the client: a place is opaque, and could say anything."""
    place = event.event_id
    if not place:
        return event
    if len(place) <= _LONGEST_PLACE:
        said = Body({"result": {"place": place}}, lens=result_segments)
        resource = Resource(server=cause.resource.server)
        framed = replace(cause, action=Action.MESSAGE, resource=resource, request=_NOTHING, response=said)
        with contextlib.suppress(RefusedError):
            if (await gate.inspect(framed, Phase.RESPONSE)).response is said:
                return event
    log.info("server %s: a place in its stream was not passed on", cause.resource.server)
    return replace(event, event_id=None)


async def pass_on(gate: Inspecting, cause: Exchange, event: Event, put: Put) -> None:
    """Judge a notification of a server and send on what may leave; a place to resume from stays where it was.

    Args:
        gate: the guard.
        cause: the exchange that it belongs to: its events carry the same id.
        event: what came.
        put: sends to the client.
    """
    message = event.message
    if message is None:
        await put(event)
        return
    resource = Resource(server=cause.resource.server, name=message.method)
    framed = replace(cause, action=Action.MESSAGE, resource=resource, request=_NOTHING)
    try:
        passed = await response_to_client(gate, framed, message)
    except RefusedError as error:
        log.info("server %s: a message was not passed on: %s", cause.resource.server, error)
        if message.is_response:  # it came late, on another stream: whoever waits for it must be told
            told = errors.answer(error, message, Era(jsontree.as_text(cause.facts.get("era"), Era.LEGACY)))
            await put(replace(event, message=told.message))
        elif event.event_id is not None or event.retry is not None:
            await put(replace(event, message=None))
        return
    await put(event if passed is message else replace(event, message=passed))
