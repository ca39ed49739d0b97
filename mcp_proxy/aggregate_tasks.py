"""Tasks at the aggregate, of both generations: whose a task is, by an id that the client can only hand back.

What a task is, and who may ask for it, is the relay's and the server's business. How ids look: `aggregate_task_ids.py`;
messages that servers send of their own accord are mapped by the session (`aggregate_session.py`).
"""

from collections import OrderedDict
from collections.abc import Mapping

from governance import jsontree
from governance.jsontree import Json, JsonObject
from mcp_proxy.aggregate import MISSING_KEY
from mcp_proxy.aggregate_cursor import Cursors
from mcp_proxy.aggregate_lists import METHOD_NOT_FOUND, NotHereError, shared
from mcp_proxy.aggregate_outlets import MemberOutlet, Talk
from mcp_proxy.aggregate_reach import Reach, why
from mcp_proxy.aggregate_session import Bundle, Member
from mcp_proxy.link import LinkLostError, UpstreamError
from mcp_proxy.message import Message, result_of
from mcp_proxy.tasks.ids import TASK_ID, created, gives_tasks, renamed, wants_task
from mcp_proxy.tasks.task import renamed as about_another
from mcp_proxy.tasks.task import result_renamed

LIST = "tasks/list"
MOST_GIVEN = 10_000
"""Tasks of which it is remembered to whom they were given; the oldest is listed no more."""

Given = tuple[tuple[str, str, str], str, str]
"""Owner, server, and the server's own id."""


class Tasks:
    """Maps the ids of tasks.

    Args:
        reach: the way to the servers.
        cursors: seals where a list goes on.
    """

    def __init__(self, reach: Reach, cursors: Cursors) -> None:
        self._reach = reach
        self._cursors = cursors
        self._given: OrderedDict[Given, None] = OrderedDict()

    async def route(self, talk: Talk, message: Message) -> None:
        """Carry a request about a task to the server that has it.

        Raises:
            NotHereError: there is no such task for this caller.
        """
        bundle = talk.bundle
        found = bundle.tasks.open(jsontree.as_text(message.params.get(TASK_ID)), bundle.owner)
        if found is None or found[0] not in talk.servers:
            raise NotHereError("there is no such task: call the tool again")
        server, task_id = found
        member, link = await self._reach.ready(talk, server)
        bundle.depart(message, server)
        try:
            sent = bundle.restored(about_another(message, task_id), server)
            await self._reach.carry(talk, sent, member, link, TaskOutlet(talk, server))
        finally:
            bundle.arrived(message)

    def check(self, message: Message, member: Member) -> None:
        """Refuse a call that asks for a task (2025-11-25) of a server that makes none.

        Raises:
            NotHereError: it would answer as if it had not been asked for one, which the client could not read.
        """
        if wants_task(message) and not gives_tasks(member.introduction):
            raise NotHereError("the server of this tool makes no tasks: call without `task`", METHOD_NOT_FOUND)

    def to_client(self, talk: Talk, server: str, message: Message) -> Message:
        """The answer of a server to a call, with the id by which its client may ask for the task that it tells of."""
        asked = talk.message
        task_id = created(asked, message) if asked is not None else ""
        if asked is None or not task_id:
            return _named(talk.bundle, server, message)
        self._given[talk.bundle.owner, server, task_id] = None
        if len(self._given) > MOST_GIVEN:
            self._given.popitem(last=False)
        if not wants_task(asked):
            return result_renamed(message, task_id, talk.bundle.tasks.seal(talk.bundle.owner, server, task_id))
        return _named(talk.bundle, server, message, asked.method)

    async def page(self, talk: Talk, message: Message) -> JsonObject:
        """One page of the tasks of all servers: those that were given to this caller, here.

        A server may know nobody but Wicket, and tell one caller of another's.

        Raises:
            NotHereError: its cursor is not one of ours.
            UpstreamError, RefusedError: no server answered.
        """
        owner, places = talk.bundle.owner, dict[str, str]()
        if "cursor" in message.params:
            opened = self._cursors.open(message.params["cursor"], LIST, owner)
            if opened is None:
                raise NotHereError("`cursor` is none that this endpoint gave: list from the start again")
            places = dict(opened)
        names = [one for one in talk.servers if one in places] if "cursor" in message.params else talk.servers

        async def one(name: str) -> JsonObject:
            return await self._page_of(talk, name, shared(message.params), places.get(name))

        return self._joined(talk, await self._reach.each(talk, names, one))

    async def _page_of(self, talk: Talk, name: str, params: JsonObject, place: str | None) -> JsonObject:
        asked: JsonObject = params if place is None else {**params, "cursor": place}
        try:
            answer = await self._listed(talk, name, asked)
        except LinkLostError:
            answer = await self._listed(talk, name, asked)  # a list may be asked for twice: in a session anew
        if answer is not None and "error" in answer.value:
            raise UpstreamError(f"server `{name}` answered with an error")
        return {} if answer is None else result_of(answer)

    async def _listed(self, talk: Talk, name: str, params: JsonObject) -> Message | None:
        """The answer of a server; None if it lists no tasks."""
        member, link = await self._reach.ready(talk, name)
        offered = jsontree.as_object(jsontree.as_object(member.introduction.get("capabilities")).get("tasks"))
        return await self._reach.ask(talk, member, link, LIST, params) if "list" in offered else None

    def _joined(self, talk: Talk, found: Mapping[str, JsonObject | Exception]) -> JsonObject:
        owner, tasks = talk.bundle.owner, list[Json]()
        places, missing = dict[str, str](), dict[str, Json]()
        for server, part in found.items():
            if isinstance(part, Exception):
                missing[server] = why(part)
                continue
            for entry in map(jsontree.as_object, jsontree.as_list(part.get("tasks"))):
                task_id = jsontree.as_text(entry.get(TASK_ID))
                if (owner, server, task_id) in self._given:
                    tasks.append({**entry, TASK_ID: talk.bundle.tasks.seal(owner, server, task_id)})
            if isinstance(place := part.get("nextCursor"), str):
                places[server] = place
        result: JsonObject = {"tasks": tasks}
        if places:
            result["nextCursor"] = self._cursors.seal(LIST, owner, places)
        return {**result, "_meta": {MISSING_KEY: missing}} if missing else result


class TaskOutlet(MemberOutlet):
    """Takes the answer to a request about a task, which calls it as the request did."""

    async def respond(self, message: Message) -> None:
        """The answer, judged."""
        asked = self.talk.message
        if asked is not None:
            told = result_of(message).get(TASK_ID)
            if isinstance(told, str):
                message = result_renamed(message, told, jsontree.as_text(asked.params.get(TASK_ID)))
            else:
                message = _named(self.talk.bundle, self.server, message, asked.method)
        await super().respond(message)


def _named(bundle: Bundle, server: str, message: Message, asked: str = "") -> Message:
    return renamed(message, lambda one: bundle.tasks.seal(bundle.owner, server, one), asked)
