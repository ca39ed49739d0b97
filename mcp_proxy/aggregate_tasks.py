"""Tasks of the modern extension at the aggregate: whose a task is, by an id that the client can only hand back.

An id holds the server and the server's own id, sealed like a cursor: it is good for the caller that it was given to,
and nothing has to be remembered. Two servers may use the same id. What a task is, and who may ask for it, is the
relay's and the server's business; of other messages about tasks nothing is known here.
"""

from mcp_proxy.aggregate_cursor import Cursors
from mcp_proxy.aggregate_lists import NotHereError
from mcp_proxy.aggregate_outlets import MemberOutlet, Talk
from mcp_proxy.aggregate_reach import Reach
from mcp_proxy.link import Era
from mcp_proxy.message import Message, result_of
from mcp_proxy.tasks.task import TASK_ID, renamed, result_renamed

_SEALED_FOR = "tasks"
"""Stands where a cursor has its method, so that neither passes for the other."""


class Tasks:
    """Maps the ids of tasks.

    Args:
        reach: the way to the servers.
        cursors: seals.
    """

    def __init__(self, reach: Reach, cursors: Cursors) -> None:
        self._reach = reach
        self._cursors = cursors

    async def route(self, talk: Talk, message: Message) -> None:
        """Carry a request about a task to the server that has it.

        Raises:
            NotHereError: there is no such task for this caller.
        """
        places = self._cursors.open(message.params.get(TASK_ID), _SEALED_FOR, talk.bundle.owner)
        server, task_id = next(iter((places or {}).items()), ("", ""))
        if server not in talk.servers:
            raise NotHereError("there is no such task: call the tool again")
        member, link = await self._reach.ready(talk, server)
        talk.bundle.depart(message, server)
        try:
            await self._reach.carry(talk, renamed(message, task_id), member, link, TaskOutlet(talk, server, self))
        finally:
            talk.bundle.arrived(message)

    def to_client(self, talk: Talk, server: str, message: Message) -> Message:
        """The answer of a server, with the id by which its client may ask for the task that it tells of."""
        result = result_of(message)
        task_id = result.get(TASK_ID)
        if talk.bundle.era is not Era.MODERN or result.get("resultType") != "task" or not isinstance(task_id, str):
            return message
        sealed = self._cursors.seal(_SEALED_FOR, talk.bundle.owner, {server: task_id})
        return result_renamed(message, task_id, sealed)

    def under_its_id(self, talk: Talk, message: Message) -> Message:
        """The answer to a request about a task, which calls it as the request did."""
        asked = talk.message.params.get(TASK_ID) if talk.message is not None else None
        told = result_of(message).get(TASK_ID)
        if not isinstance(asked, str) or not isinstance(told, str):
            return message
        return result_renamed(message, told, asked)


class TaskOutlet(MemberOutlet):
    """Takes the answer to a request about a task."""

    def __init__(self, talk: Talk, server: str, tasks: Tasks) -> None:
        super().__init__(talk, server)
        self._tasks = tasks

    async def respond(self, message: Message) -> None:
        """The answer, judged."""
        await super().respond(self._tasks.under_its_id(self.talk, message))
