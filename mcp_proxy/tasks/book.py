"""The tasks of one process: made, found, kept within bounds, forgotten.

In memory: after a restart, or in another process behind the same address, an id is unknown, and the same call made
again finds the same ticket. (The extension has clients name the task in `Mcp-Name`, so that what stands in front can
route to the process that keeps it.) Nothing is called, judged or sent here.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from governance import jsontree
from governance.clock import Clock
from governance.exchange import Exchange, Principal, SessionRef
from governance.jsontree import Json, JsonObject
from mcp_proxy.calls import Call
from mcp_proxy.lens import Caller
from mcp_proxy.link import Era, Event, Link
from mcp_proxy.message import Message
from mcp_proxy.sealing import Seal, UnsealedError
from mcp_proxy.tasks.ids import STATUS, related, renamed
from mcp_proxy.tasks.task import OF_EITHER, TASK_ID, Task
from mcp_proxy.tasks.theirs import TheirTasks
from sessions.correlate import TRACE

log = logging.getLogger(__name__)

MOST_TASKS = 1000
MOST_OF_ONE = 64
"""Tasks of one key."""
MOST_BYTES = 64 * 2**20
"""Calls and answers of all tasks together."""


class NoTaskError(Exception):
    """There is no such task for this client. Why, is not told."""


@dataclass
class TaskBook:
    """Tasks by id."""

    seal: Seal
    clock: Clock
    keeps_seconds: float
    spawn: Callable[[Task], None] | None = None
    """Starts the making of a task's call; None while nobody is there to do it, and then no task is made."""
    theirs: TheirTasks = field(default_factory=TheirTasks)
    """The tasks that servers made."""
    _tasks: dict[str, Task] = field(default_factory=dict[str, Task])

    def open(
        self,
        message: Message,
        caller: Caller,
        run: SessionRef,
        headers: Mapping[str, str],
        waits_for: tuple[str, str],
        asks: jsontree.JsonObject,
        via: Link | None = None,
    ) -> Task | None:
        """A task for a held call, started; None where no more can be kept.

        Args:
            message: the call.
            caller: who made it.
            run: the run that it belongs to.
            headers: those that go to the server with it.
            waits_for: the ticket and its page.
            asks: what the client is asked first.
            via: the session that the call is made in, where it belongs to one.
        """
        ticket, page = waits_for
        self.sweep()
        if self.spawn is None or not self._room(caller.principal, len(message.raw)):
            return None
        task_id = self.seal.close_task(_bound(caller), ticket, secrets.token_hex(8))
        now, heard = self.clock.now(), self.clock.monotonic()
        task = Task(task_id, ticket, page, message, caller, run, headers, now, self.keeps_seconds, heard, asks)
        task.asked_about, task.via = ticket, via
        self._tasks[task_id] = task
        self.spawn(task)
        return task

    def outlive(
        self, call: Call, message: Message, caller: Caller, run: SessionRef, headers: Mapping[str, str], link: Link
    ) -> None:
        """Let the held call of a client that has gone wait on, because its rule says so; nobody gets its answer."""
        if call.outlives is None or self.spawn is None or not self._room(caller.principal, len(message.raw)):
            log.warning("server %s: the held call of a client that left is given up", caller.server)
            return
        now, heard = self.clock.now(), self.clock.monotonic()
        ticket, page = call.outlives
        task_id = self.seal.close_task(_bound(caller), ticket, secrets.token_hex(8))
        task = Task(task_id, ticket, page, message, caller, run, headers, now, self.keeps_seconds, heard)
        task.unknown, task.via = True, link if caller.era is Era.LEGACY else None
        self._tasks[task_id] = task
        self.spawn(task)

    def is_ours(self, message: Message) -> bool:
        """Whether a request is about a task that claims to be made here."""
        task_id = message.params.get(TASK_ID)
        return message.method in OF_EITHER and isinstance(task_id, str) and self.seal.is_ours(task_id)

    def find(self, message: Message, caller: Caller, run: SessionRef) -> Task:
        """The task that a request is about.

        It is its own caller's, in its own run. A run that only a trace tells, or less, may change from request to
        request; the kill switch looks at the task's own run then (`counter.py`).

        Raises:
            NoTaskError: there is none for this caller.
        """
        self.sweep()
        task_id = jsontree.as_text(message.params.get(TASK_ID))
        try:
            self.seal.open_task(task_id, _bound(caller))
        except UnsealedError:
            raise NoTaskError from None
        task = self._tasks.get(task_id)
        if (
            task is None
            or task.unknown
            or caller.era is not task.caller.era
            or (run.id != task.run.id and run.rank < TRACE)
        ):
            raise NoTaskError
        return task

    def listed(self, asked: Message, exchange: Exchange, result: JsonObject) -> JsonObject:
        """A server's list of tasks (2025-11-25) for one client: with ours, without those known as others'."""
        server, principal = exchange.resource.server, exchange.principal
        ours = [one for one in self._tasks.values() if one.is_listed(server, principal)]
        names = {one.theirs: one.id for one in ours if one.theirs}
        kept: list[Json] = [
            one if (task_id := jsontree.as_text(jsontree.as_object(one).get(TASK_ID))) not in names
            else {**jsontree.as_object(one), TASK_ID: names[task_id]}
            for one in jsontree.as_list(result.get("tasks"))
            if not self.theirs.is_strange(principal, server, jsontree.as_text(jsontree.as_object(one).get(TASK_ID)))
        ]  # fmt: skip
        if "cursor" not in asked.params:
            kept = [*(one.told_legacy() for one in ours if not one.theirs), *kept]
        return result if kept == result.get("tasks") else {**result, "tasks": kept}

    def to_client(self, event: Event) -> Event:
        """What a server says of its own accord, with our id of a task that it made of a call of ours."""
        message = event.message
        named = "" if message is None else _named(message)
        if message is None or not named:
            return event
        task = next((one for one in self._tasks.values() if one.theirs == named), None)
        return event if task is None else replace(event, message=renamed(message, lambda _: task.id))

    def to_server(self, message: Message) -> Message:
        """An answer of a client, with the server's own id of the task that it belongs to."""
        task = self._tasks.get(named) if (named := related(message)) else None
        if task is None or not task.theirs:
            return message
        return renamed(message, lambda _: task.theirs)

    def forget(self, task: Task) -> None:
        """Its client has what there was to have."""
        self._tasks.pop(task.id, None)

    def has(self, task: Task) -> bool:
        """Whether it is kept still."""
        return self._tasks.get(task.id) is task

    def has_another(self, task: Task, ticket: str) -> bool:
        """Whether another task than this one goes by a ticket."""
        return any(one is not task and one.ticket == ticket and not one.ended for one in self._tasks.values())

    def keep(self, task: Task) -> None:
        """Its client may not have got what it was sent."""
        self._tasks.setdefault(task.id, task)

    def sweep(self) -> None:
        """Forget what is too old, and, where too much is kept, the answers that waited for longest."""
        now = self.clock.now()
        for task in [one for one in self._tasks.values() if one.overdue(now)]:
            self._drop(task)
        size = sum(one.size for one in self._tasks.values())
        for task in [one for one in self._tasks.values() if one.ended]:
            if size <= MOST_BYTES:
                return
            size -= task.size
            self._drop(task)

    def _drop(self, task: Task) -> None:
        self.forget(task)
        task.scope.cancel()

    def _room(self, principal: Principal, size: int) -> bool:
        kept = sum(one.size for one in self._tasks.values())
        own = sum(one.caller.principal.key_id == principal.key_id for one in self._tasks.values())
        return len(self._tasks) < MOST_TASKS and own < MOST_OF_ONE and kept + size <= MOST_BYTES


def _named(message: Message) -> str:
    """The task of 2025-11-25 that a server's notification or request is about."""
    return related(message) or (jsontree.as_text(message.params.get(TASK_ID)) if message.method == STATUS else "")


def _bound(caller: Caller) -> str:
    """Whom an id is for."""
    principal = caller.principal
    names: list[jsontree.Json] = [
        principal.key_id,
        principal.tenant,
        principal.team,
        principal.agent,
        principal.user,
    ]
    return jsontree.digest({"task of": names, "server": caller.server})
