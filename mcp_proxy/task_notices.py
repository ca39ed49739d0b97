"""Notices of what becomes of the tasks of ours: `subscriptions/listen` with `taskIds`, and `notifications/tasks`.

It stands before the relay. Of a subscription it takes what is about our tasks; the rest is the server's, in the same
stream. A notice says what `tasks/get` would, and is judged as that is; whoever listens need not poll.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio

from approvals.attendance import Unattended
from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.stage import Outcome, RefusedError
from mcp_proxy.calls import Calls
from mcp_proxy.carrier import Carrier
from mcp_proxy.lens import ACTIONS, Caller, exchange_of, message_of, response_of
from mcp_proxy.link import NO_HEADERS, Event, Link, Outlet
from mcp_proxy.message import INVALID_PARAMS, INVALID_REQUEST, MalformedMessageError, Message, RequestId
from mcp_proxy.relay import Relay
from mcp_proxy.server_requests import CANCELLED
from mcp_proxy.tasks.book import TaskBook
from mcp_proxy.tasks.task import TASK_ID, Task

log = logging.getLogger(__name__)

LISTEN, ACKNOWLEDGED = "subscriptions/listen", "notifications/subscriptions/acknowledged"
SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
TASK_IDS = "taskIds"
MOST_TASKS = 64
"""Tasks of one subscription, as many as one key may have."""
NOTICE_SECONDS = 0.5
"""How soon a client hears of a change."""
SERVER_SECONDS = 10.0
"""How long the server may take to acknowledge its part, before the client is told of ours."""
_AT_ONCE = Unattended(seconds=0)


@dataclass(frozen=True)
class Notices:
    """Carries messages as the relay does, and tells of tasks whoever listens."""

    relay: Relay
    book: TaskBook
    _open: dict[tuple[int, RequestId], anyio.CancelScope] = field(
        default_factory=dict[tuple[int, RequestId], anyio.CancelScope]
    )
    """Subscriptions, by the calls of their client and their own id."""

    async def carry(
        self,
        message: Message,
        link: Link,
        caller: Caller,
        outlet: Outlet,
        calls: Calls,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Exception | None:
        """Deliver one client message; see `Relay.carry`.

        Raises:
            MalformedMessageError: nothing of it was carried.
        """
        wanted = message.params.get("requestId") if message.method == CANCELLED else None
        if isinstance(wanted, int | str) and (scope := self._open.get((id(calls), wanted))) is not None:
            scope.cancel()
        asked = jsontree.as_object(message.params.get("notifications")) if message.method == LISTEN else {}
        ids = [one for one in jsontree.as_list(asked.get(TASK_IDS)) if isinstance(one, str)]
        ours = [one for one in dict.fromkeys(ids) if self.book.seal.is_ours(one)]
        if not ours or message.id is None:
            return await self.relay.carry(message, link, caller, outlet, calls, headers)
        tasks = [task for one in ours[:MOST_TASKS] if (task := await self._task(message, one, caller)) is not None]
        others: list[Json] = [one for one in ids if one not in ours]
        rest: JsonObject = {name: value for name, value in asked.items() if name != TASK_IDS}
        rest |= {TASK_IDS: others} if others else {}
        telling = _Telling(self, message, caller, outlet)
        if (id(calls), message.id) in self._open:
            raise MalformedMessageError("`id` is that of a request that is still open", code=INVALID_REQUEST)
        with anyio.CancelScope() as scope:
            self._open[id(calls), message.id] = scope
            try:
                async with anyio.create_task_group() as group:
                    part = _ServerPart(telling)
                    if rest:
                        sent = Message.build({**message.value, "params": {**message.params, "notifications": rest}})
                        group.start_soon(_carried, self.relay, sent, link, caller, part, calls, headers)
                    else:
                        part.settled.set()
                    with anyio.move_on_after(SERVER_SECONDS):
                        await part.settled.wait()
                    await telling.acknowledge(part.accepted, tasks)
                    part.joined.set()
                    for task in tasks:
                        group.start_soon(telling.tell, task)
            finally:
                del self._open[id(calls), message.id]
            done: JsonObject = {"resultType": "complete", "_meta": {SUBSCRIPTION_ID: message.id}}
            await telling.put(Event(Message.build({"jsonrpc": "2.0", "id": message.id, "result": done})))
        return None

    async def listen(
        self, link: Link, caller: Caller, outlet: Outlet, calls: Calls, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """The server's own stream; see `Relay.listen`."""
        await self.relay.listen(link, caller, outlet, calls, headers)

    async def _task(self, message: Message, task_id: str, caller: Caller) -> Task | None:
        """A task that this client may be told of; none where there is none, or its server tells of it.

        Raises:
            MalformedMessageError: the request does not declare the extension.
        """
        try:
            task = await self.relay.task_of(_get(message, task_id), caller)
        except MalformedMessageError as error:
            if error.code != INVALID_PARAMS:
                raise
            return None
        return None if task is None or task.theirs else task


@dataclass(frozen=True)
class _Telling:
    """One subscription."""

    notices: Notices
    message: Message
    caller: Caller
    outlet: Outlet
    lock: anyio.Lock = field(default_factory=anyio.Lock)

    async def put(self, event: Event) -> None:
        """Send the client one event."""
        async with self.lock:
            await self.outlet.put(event)

    async def acknowledge(self, accepted: JsonObject, tasks: list[Task]) -> None:
        """Tell the client what it will hear of."""
        await self.outlet.begin(200, NO_HEADERS)
        ids: list[Json] = [*jsontree.as_list(accepted.get(TASK_IDS)), *(task.id for task in tasks)]
        agreed: JsonObject = {**accepted, **({TASK_IDS: ids} if ids else {})}
        params: JsonObject = {"notifications": agreed, "_meta": {SUBSCRIPTION_ID: self.message.id}}
        await self.put(Event(Message.build({"jsonrpc": "2.0", "method": ACKNOWLEDGED, "params": params})))

    async def tell(self, task: Task) -> None:
        """Tell of one task until it has ended, is kept no longer, or may not be told of."""
        relay, book = self.notices.relay, self.notices.book
        last: object = None
        with (
            anyio.CancelScope() as scope,
            relay.kills.track(self.caller.principal, task.run, lambda _: scope.cancel(), server=self.caller.server),
        ):
            while book.has(task) and not task.theirs:
                task.heard(relay.clock.monotonic())
                if task.told_apart != last:
                    last = task.told_apart
                    try:
                        await self._notice(task)
                    except RefusedError as error:
                        log.info("server %s: no more is told of a task: %s", self.caller.server, error)
                        return
                    except Exception:
                        log.exception("server %s: no more is told of a task", self.caller.server)
                        return
                if task.ended:
                    return
                await anyio.sleep(NOTICE_SECONDS)

    async def _notice(self, task: Task) -> None:
        """Tell how a task stands.

        Raises:
            RefusedError: a rule, or the kill switch, does not let it pass.
        """
        relay, name = self.notices.relay, task.ticket
        asked = _get(self.message, name)
        exchange = exchange_of(asked, ACTIONS[asked.method], self.caller, task.run, relay.catalog, relay.clock.now())
        async with relay.gate.passage(exchange, _AT_ONCE) as way:
            params: JsonObject = {**task.told(), TASK_ID: name, "_meta": {SUBSCRIPTION_ID: self.message.id}}
            told = Message.build({"jsonrpc": "2.0", "method": "notifications/tasks", "params": params})
            judged = await way.respond(response_of(told, exchange.action))
            left = told if judged.response is None else message_of(judged.response, told)
            await way.settle(Outcome("ok"))
        left = Message.build({**left.value, "params": {**left.params, TASK_ID: task.id}})
        await self.put(Event(left))


class _ServerPart:
    """Takes the server's part of a subscription: its acknowledgement is kept, the rest waits for the joint one."""

    def __init__(self, telling: _Telling) -> None:
        self.accepted: JsonObject = {}
        self.settled = anyio.Event()
        self.joined = anyio.Event()
        self._telling = telling

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._telling.outlet.gone

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """The status is that of the joint subscription."""

    async def put(self, event: Event) -> None:
        """Pass on one event, once the client's subscription stands. A server that has none leaves ours alone."""
        message = event.message
        if message is None or message.is_response or message.method == CANCELLED:
            self.settled.set()
        elif message.method == ACKNOWLEDGED:
            self.accepted = jsontree.as_object(message.params.get("notifications"))
            self.settled.set()
        else:
            await self.joined.wait()
            await self._telling.put(Event(message))

    async def end(self) -> None:
        """Its stream has ended; the client's goes on."""


async def _carried(
    relay: Carrier,
    message: Message,
    link: Link,
    caller: Caller,
    part: _ServerPart,
    calls: Calls,
    headers: Mapping[str, str],
) -> None:
    try:
        await relay.carry(message, link, caller, part, calls, headers)
    except MalformedMessageError as error:
        log.info("server %s: its part of a subscription is missing: %s", caller.server, error)
    finally:
        part.settled.set()


def _get(message: Message, task_id: str) -> Message:
    """The request for a task that a subscription stands for."""
    meta = {name: one for name, one in message.meta.items() if name != "progressToken"}
    params: JsonObject = {TASK_ID: task_id, "_meta": meta}
    return Message.build({"jsonrpc": "2.0", "id": message.id, "method": "tasks/get", "params": params})
