"""What the servers behind the aggregate say of their own accord, joined into the stream that a client listens on."""

import logging

import anyio

from governance import jsontree
from governance.jsontree import Json, JsonObject
from governance.stage import RefusedError
from mcp_proxy.aggregate_lists import METHOD_NOT_FOUND, Lists, NotHereError
from mcp_proxy.aggregate_outlets import MemberOutlet, StreamOutlet, Talk
from mcp_proxy.aggregate_reach import Reach, why
from mcp_proxy.aggregate_session import CANCELLED, Member, with_params
from mcp_proxy.link import NO_HEADERS, Event, LinkLostError, UpstreamError
from mcp_proxy.message import Message

log = logging.getLogger(__name__)

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"
URIS = "resourceSubscriptions"
TASK_IDS = "taskIds"
"""Tasks that the client wants to be told of: each of the server that has it, under its own id."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
OPEN, CONFLICT = 200, 409


class Streams:
    """Joins the servers' streams.

    Args:
        reach: the way to the servers.
        lists: tells whose a resource is.
        patience: seconds that servers may take to acknowledge a subscription.
    """

    def __init__(self, reach: Reach, lists: Lists, patience: float) -> None:
        self._reach = reach
        self._lists = lists
        self._patience = patience

    # -- legacy -------------------------------------------------------------------------------------------------------

    async def listen(self, talk: Talk) -> None:
        """Pass on what each opened server says, also of those that are opened later, until the client leaves.

        Raises:
            RefusedError: the run was killed.
        """
        bundle = talk.bundle
        if bundle.hear is not None:
            await talk.outlet.begin(CONFLICT, NO_HEADERS)
            return
        refused: list[RefusedError] = []
        async with anyio.create_task_group() as group:

            async def hear(member: Member) -> None:
                try:
                    await self._hear(talk, member)
                except RefusedError as error:
                    refused.append(error)
                    group.cancel_scope.cancel()

            bundle.hear = lambda member: group.start_soon(hear, member)
            try:
                await talk.outlet.begin(OPEN, NO_HEADERS)
                for member in bundle.opened:
                    group.start_soon(hear, member)
                await bundle.closed.wait()
            finally:
                bundle.hear = None
            group.cancel_scope.cancel()
        if refused:
            raise refused[0]

    async def _hear(self, talk: Talk, member: Member) -> None:
        """Listen to one server for as long as its session lasts; a stream that it ends is asked for again."""
        link, pause = member.link, FIRST_PAUSE_SECONDS
        outlet = StreamOutlet(talk, member.server.name)
        while link is not None and member.link is link:
            try:
                await self._reach.listen(talk, member, link, outlet)
                if outlet.status != OPEN:
                    return
                pause = FIRST_PAUSE_SECONDS
            except LinkLostError:
                if member.link is link:
                    talk.bundle.lose(member)
                    await talk.bundle.clear_away()
                return
            except UpstreamError as error:
                log.info("server %s: its own stream has ended: %s", member.server.name, error)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            await anyio.sleep(outlet.pause or pause)

    # -- modern -------------------------------------------------------------------------------------------------------

    async def subscribe(self, talk: Talk, message: Message) -> JsonObject:
        """One subscription with each server that has anything to say; returns the result when all have ended theirs.

        Raises:
            UpstreamError, RefusedError: no server acknowledged.
        """
        wanted = await self._wanted(talk, message)
        outlets = {name: SubscriptionOutlet(talk, name) for name in wanted}
        errors: list[Exception] = []
        stands = False

        async def one(name: str) -> None:
            try:
                member, link = await self._reach.ready(talk, name)
                error = await self._reach.carry(talk, wanted[name], member, link, outlets[name])
                errors.extend([error] if error is not None else [])
            except (UpstreamError, RefusedError) as error:
                log.warning("server %s is missing from the stream: %s", name, why(error))
                errors.append(error)
            finally:
                outlets[name].settled.set()

        async with anyio.create_task_group() as group:
            for name in outlets:
                group.start_soon(one, name)
            with anyio.move_on_after(self._patience):
                for outlet in outlets.values():
                    await outlet.settled.wait()
            accepted = _accepted([one.accepted for one in outlets.values() if one.accepted is not None])
            stands = not outlets or any(one.accepted is not None for one in outlets.values())
            if stands:
                await talk.put(Event(_acknowledgement(message, accepted)))
                for outlet in outlets.values():
                    outlet.joined.set()
            else:
                group.cancel_scope.cancel()
        if not stands:
            raise errors[0] if errors else NotHereError("no server here offers subscriptions", METHOD_NOT_FOUND)
        return {"resultType": "complete", "_meta": {SUBSCRIPTION_ID: message.id}}

    async def _wanted(self, talk: Talk, message: Message) -> dict[str, Message]:
        """What each server is asked for: lists of all, resources of their owners."""
        asked = jsontree.as_object(message.params.get("notifications"))
        uris: dict[str, list[Json]] = {}
        for uri in jsontree.as_list(asked.get(URIS)):
            try:
                uris.setdefault(await self._lists.home(talk, jsontree.as_text(uri)), []).append(uri)
            except (NotHereError, UpstreamError):
                log.info("a subscription to a resource that no server has was left out")
        tasks: dict[str, list[Json]] = {}
        for task_id in jsontree.as_list(asked.get(TASK_IDS)):
            if found := talk.bundle.tasks.open(jsontree.as_text(task_id), talk.bundle.owner):
                tasks.setdefault(found[0], []).append(found[1])
        common: JsonObject = {name: value for name, value in asked.items() if name not in (URIS, TASK_IDS)}
        wanted: dict[str, Message] = {}
        for name in talk.servers:
            part: JsonObject = {**common, URIS: uris[name]} if name in uris else common
            part = {**part, TASK_IDS: tasks[name]} if name in tasks else part
            if part or not asked:
                wanted[name] = with_params(message, notifications=part)
        return wanted


class SubscriptionOutlet(MemberOutlet):
    """One server's part of a subscription: its acknowledgement is kept, the rest waits for the joint one."""

    def __init__(self, talk: Talk, server: str) -> None:
        super().__init__(talk, server)
        self.accepted: JsonObject | None = None
        self.settled = anyio.Event()
        """Set when it acknowledged, or never will."""
        self.joined = anyio.Event()
        """Set when the client was told what all have acknowledged."""

    async def begin(self, status: int, headers: object) -> None:
        """The client's status is decided when all servers have answered."""
        self.status = status

    async def put(self, event: Event) -> None:
        """Pass on one event, once the client's subscription stands."""
        message = event.message
        if message is not None and message.method == ACKNOWLEDGED:
            accepted = jsontree.as_object(message.params.get("notifications"))
            bundle, server = self.talk.bundle, self.server
            ids: list[Json] = [
                bundle.tasks.seal(bundle.owner, server, jsontree.as_text(one))
                for one in jsontree.as_list(accepted.get(TASK_IDS))
            ]
            self.accepted = {**accepted, **({TASK_IDS: ids} if ids else {})}
            self.settled.set()
            return
        if message is None or message.is_response or message.method == CANCELLED:
            return  # it ends here, which ends the client's only together with all others
        if self.settled.is_set():
            await self.joined.wait()
            await super().put(event)


def _accepted(parts: list[JsonObject]) -> JsonObject:
    """What at least one server will tell."""
    joined: JsonObject = {}
    for part in parts:
        for name, value in part.items():
            mine = joined.get(name)
            if isinstance(mine, list) and isinstance(value, list):
                joined[name] = [*mine, *value]
            elif not mine:
                joined[name] = value
    return joined


def _acknowledgement(message: Message, accepted: JsonObject) -> Message:
    params: JsonObject = {"notifications": accepted, "_meta": {SUBSCRIPTION_ID: message.id}}
    return Message.build({"jsonrpc": "2.0", "method": ACKNOWLEDGED, "params": params})
