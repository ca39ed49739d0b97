"""Where clients ask for their tasks: `tasks/get`, `tasks/update`, `tasks/cancel`, and `tasks/result` of 2025-11-25.

Each such request is an exchange that the whole pipeline judges, its answer too, as if a server had given it. For that
it names the ticket: the sealed id would only look like a secret. A task that the server made of the call is asked for
at the server (`mcp_proxy/relay.py`), under its own id.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import anyio

from approvals.attendance import UNATTENDED
from governance import jsontree
from governance.catalog.catalog import Catalog
from governance.clock import Clock
from governance.exchange import Exchange, SessionRef
from governance.jsontree import JsonObject
from governance.stage import Outcome, RefusedError
from governance.verdict import Decision, Verdict
from mcp_proxy.gate import Gate
from mcp_proxy.lens import ACTIONS, Caller, exchange_of, message_of, response_of
from mcp_proxy.link import NO_HEADERS, Era, Event, Outlet
from mcp_proxy.message import INVALID_PARAMS, MalformedMessageError, Message, result_of
from mcp_proxy.sdk import MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp_proxy.tasks import ids
from mcp_proxy.tasks.book import NoTaskError, TaskBook
from mcp_proxy.tasks.task import EXTENSION, OF_EITHER, TASK_ID, Task, declares_tasks, renamed, result_renamed

log = logging.getLogger(__name__)

RESULT_SECONDS = 0.25
"""How soon a client that waits for a result has it."""

_FETCHED = Verdict(Decision.DENY, by="guard", rule="task.fetched", reason="the answer of this task was fetched")


class Withdrawing(Protocol):
    """Where a person is asked no more (`approvals.desk.Desk`)."""

    async def withdraw(self, ticket_id: str, *, by: str, reason: str) -> bool:
        """Close an open ticket; false if it was closed before."""
        ...

    def waiters(self, ticket_id: str) -> int:
        """How many calls of this process wait for a ticket right now."""
        ...


class Deciding(Protocol):
    """Takes what the person at a client chose (`mcp_proxy.delivery.Delivery`)."""

    def expects(self, ticket_id: str) -> bool:
        """Whether a client was told to come back for a ticket."""
        ...

    async def chosen(self, ticket_id: str, answer: JsonObject, exchange: Exchange) -> None:
        """Take an answer to our question."""
        ...


@dataclass(frozen=True)
class Counter:
    """Answers for the tasks of ours."""

    book: TaskBook
    tickets: Withdrawing
    clock: Clock

    def looks(self, message: Message, caller: Caller) -> bool:
        """Whether a request is about a task that claims to be ours.

        Raises:
            MalformedMessageError: it is about a task of the server, known as another client's.
        """
        if self.book.is_ours(message):
            return True
        task_id = message.params.get(TASK_ID) if message.method in OF_EITHER else None
        if isinstance(task_id, str) and self.book.theirs.is_strange(caller.principal, caller.server, task_id):
            raise _none(message)
        return False

    def task_of(self, message: Message, caller: Caller, run: SessionRef) -> Task:
        """The task of ours that a request is about.

        Raises:
            MalformedMessageError: there is none for this client, or the request does not declare the extension.
        """
        if caller.era is Era.MODERN and not declares_tasks(message):
            needed: JsonObject = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
            raise MalformedMessageError(
                "a request about a task must declare the tasks extension",
                code=MISSING_REQUIRED_CLIENT_CAPABILITY,
                request_id=message.id,
                data=needed,
            )
        try:
            task = self.book.find(message, caller, run)
        except NoTaskError:
            raise _none(message) from None
        task.heard(self.clock.monotonic())
        return task

    async def received(self, message: Message, task: Task, outlet: Outlet) -> tuple[Message, Outlet]:
        """Take a request about a task of ours; returns it as it is to be carried, and where its answer goes.

        A request for the result of a task (2025-11-25) waits here until there is one, or its client is gone. Where the
        server made a task of its own of the call, everything about it goes there, under its own id.
        """
        if message.method == "tasks/result":
            while not (task.ended or task.theirs or outlet.gone) and self.book.has(task):
                task.heard(self.clock.monotonic())
                await anyio.sleep(RESULT_SECONDS)
        if not task.theirs:
            return message, outlet
        task.changed(self.clock.now())
        return renamed(message, task.theirs), RenamingOutlet(outlet, task, message.method)

    async def serve(
        self, message: Message, task: Task, caller: Caller, outlet: Outlet, gate: Gate, catalog: Catalog, by: Deciding
    ) -> None:
        """Answer a request about a task.

        Raises:
            RefusedError: a rule, or the kill switch, does not let it pass.
        """
        name = task.ticket  # it may be another before this request was judged
        asked = renamed(message, name)
        exchange = exchange_of(asked, ACTIONS[message.method], caller, task.run, catalog, self.clock.now())
        given = False
        try:
            async with gate.passage(exchange, UNATTENDED) as way:
                asked = message_of(way.exchange.request, asked)
                do = self._do if task.caller.era is Era.MODERN else self._do_legacy
                told = Message.build(
                    {"jsonrpc": "2.0", "id": message.id, **await do(asked, task, name, way.exchange, by)}
                )
                judged = await way.respond(response_of(told, exchange.action))
                left = told if judged.response is None else message_of(judged.response, told)
                await way.settle(Outcome("ok"))
            await outlet.begin(200, NO_HEADERS)
            shown = result_renamed(left, name, task.id)
            await outlet.put(Event(ids.renamed(shown, lambda one: task.id if one == name else one, message.method)))
            given = not outlet.gone
        finally:
            if task.fetched is asked and not given:
                task.fetched = None
                self.book.keep(task)

    async def _do_legacy(self, asked: Message, task: Task, name: str, exchange: Exchange, by: Deciding) -> JsonObject:
        """As `_do`, in 2025-11-25."""
        if asked.method == "tasks/result":
            return _result(task, name)
        if asked.method == "tasks/cancel":
            if task.ended:
                return _refused("the task has ended, so it cannot be cancelled")
            await self._cancel(task, exchange, by)
        return {"result": {**task.told_legacy(), TASK_ID: name}}

    async def _do(self, asked: Message, task: Task, name: str, exchange: Exchange, by: Deciding) -> JsonObject:
        """Do what is asked; returns the result, in which the task still has its name, which is that of its ticket."""
        done: JsonObject = {"resultType": "complete"}
        if asked.method == "tasks/get":
            if task.fetched is not None:  # another request got it while this one was judged
                raise RefusedError(_FETCHED, exchange.id)
            if task.ended:
                task.fetched = asked
                self.book.forget(task)
            return {"result": {**done, **task.told(), TASK_ID: name}}
        if asked.method == "tasks/cancel":
            await self._cancel(task, exchange, by)
        else:
            await self._update(jsontree.as_object(asked.params.get("inputResponses")), task, exchange, by)
        return {"result": done}

    async def _cancel(self, task: Task, exchange: Exchange, by: Deciding) -> None:
        """Ask nobody any more, and make no call; one that was sent is cancelled at the server."""
        if task.ended:
            return
        waits = [*task.waits] if task.waits or task.sent else [task.ticket]
        waits = [ticket for ticket in waits if not self._is_wanted(ticket, task, by)]
        task.cancelled, task.asks = True, {}
        task.changed(self.clock.now())
        if task.sent:
            task.scope.cancel()
        elif task.call is not None:
            task.call.called_off = True  # its approval may be used up already
        principal = exchange.principal
        try:
            who = f"client:{principal.user or principal.key_id}"
            for ticket in waits:
                await self.tickets.withdraw(ticket, by=who, reason="the client cancelled its task")
        except Exception:
            log.exception("a ticket could not be withdrawn; task %s is cancelled all the same", task.ticket)
            task.scope.cancel()
        if task.call is not None and not task.call.sent:
            task.call.call_off()  # it waits no longer for what stays open
        task.heard(self.clock.monotonic())

    def _is_wanted(self, ticket: str, task: Task, by: Deciding) -> bool:
        """Whether the same call, made besides this task, still waits for a ticket, or was told to come back for it."""
        besides = self.tickets.waiters(ticket) - (ticket in task.waits)
        return besides > 0 or by.expects(ticket) or self.book.has_another(task, ticket)

    async def _update(self, answers: JsonObject, task: Task, exchange: Exchange, by: Deciding) -> None:
        """Take answers to what is asked now; others are ignored, as the extension has it."""
        ours = self.book.seal.name
        for key in [one for one in answers if one in task.asks]:
            del task.asks[key]  # a key is never used twice, so whatever was answered is not asked again
            task.changed(self.clock.now())
            if key == ours:
                await by.chosen(task.asked_about, jsontree.as_object(answers[key]), exchange)
            else:
                task.answers[key] = answers[key]
        task.heard(self.clock.monotonic())


def _none(message: Message) -> MalformedMessageError:
    """What a client is told of a task that is none for it. Why, is not told."""
    return MalformedMessageError(
        "there is no such task: its answer was fetched, it ran out, or it is not yours; make the call again",
        code=INVALID_PARAMS,
        request_id=message.id,
    )


def _result(task: Task, name: str) -> JsonObject:
    """The answer of a task's call, as 2025-11-25 gives it: it may be fetched as often as the task is kept."""
    if task.answer is None or task.cancelled:
        return _refused("the task was cancelled" if task.cancelled else "the task has no result")
    if "error" in task.answer.value:
        return {"error": task.answer.value["error"]}
    result = result_of(task.answer)
    about: JsonObject = {ids.RELATED: {TASK_ID: name}}
    return {"result": {**result, "_meta": {**jsontree.as_object(result.get("_meta")), **about}}}


def _refused(why: str) -> JsonObject:
    return {"error": {"code": INVALID_PARAMS, "message": why}}


class RenamingOutlet:
    """Leads to a client that knows a task by another id than its server does."""

    def __init__(self, outlet: Outlet, task: Task, asked: str) -> None:
        self._outlet = outlet
        self._task = task
        self._asked = asked

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self._outlet.gone

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Pass on the status."""
        await self._outlet.begin(status, headers)

    async def put(self, event: Event) -> None:
        """Pass on an event; the answer tells of the task under our id."""
        message = event.message
        if message is not None and message.is_response:
            message = result_renamed(message, self._task.theirs, self._task.id)
            event = replace(event, message=ids.renamed(message, self._rename, self._asked))
        await self._outlet.put(event)

    async def end(self) -> None:
        """Pass on the end."""
        await self._outlet.end()

    def _rename(self, task_id: str) -> str:
        return self._task.id if task_id == self._task.theirs else task_id
