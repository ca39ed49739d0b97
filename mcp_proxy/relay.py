"""Governed or passed on: the one place of the MCP proxy that decides, for every front and every upstream transport.

A governed request goes through the guard and its response too; everything else is judged by `incoming.py`, questions of
a server by `server_requests.py`. What no verdict changes is relayed byte for byte, as it comes. How messages travel is
the business of fronts and links, what they mean that of `lens.py`.
"""

import contextlib
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

import anyio

from approvals.attendance import Attendance
from governance.catalog.catalog import Catalog
from governance.clock import Clock
from governance.exchange import Action, Exchange, Phase, SessionRef
from governance.pins.pins import BY as PINS
from governance.stage import Outcome, RefusedError
from governance.verdict import Decision, Verdict
from mcp_proxy import errors
from mcp_proxy.attendance import PROGRESS_SECONDS, Attendant, Attending, going_on, suspended
from mcp_proxy.calls import Call, Calls
from mcp_proxy.cut import Cut, Kills
from mcp_proxy.delivery import Delivery
from mcp_proxy.gate import Gate, HeaderRules, Place, Route, Way, by_evidence, learned, seen_of
from mcp_proxy.incoming import LAST_EVENT_ID, frame, frame_of_stream, pass_on, placed, response_to_client, to_server
from mcp_proxy.inputs import asks, judged_answers, judged_inputs
from mcp_proxy.ladder import Leg
from mcp_proxy.lens import ACTIONS, Caller, exchange_of, message_of, request_of, response_of, signs_of
from mcp_proxy.link import NO_HEADERS, Event, Link, Outlet, Reply, Suspending, UpstreamError, UpstreamUnreachableError
from mcp_proxy.message import Message, result_of
from mcp_proxy.pinning import Pinning, is_pinned
from mcp_proxy.server_requests import CANCELLED, Asking, answer
from mcp_proxy.tasks.counter import Counter
from mcp_proxy.tasks.runner import TaskAttendant
from mcp_proxy.tasks.task import Task

log = logging.getLogger(__name__)

OPEN = 200
"""Status of a stream that the server opened."""


@dataclass(frozen=True)
class Relay:
    """Carries the messages of every client session."""

    gate: Gate
    kills: Kills
    catalog: Catalog
    clock: Clock
    rules: HeaderRules | None = None
    patience: float = 600
    """Seconds that a call without an answer is kept open after its stream ended."""
    place: Place = by_evidence
    """Tells which run a message belongs to."""
    delivery: Delivery | None = None
    """How approvals reach clients; without one every held call waits and is then told `pending`."""
    pins: Pinning | None = None
    """Holds what servers say of themselves to what is trusted."""
    counter: Counter | None = None
    """Answers for the tasks of held calls."""

    async def carry(
        self,
        message: Message,
        link: Link,
        caller: Caller,
        outlet: Outlet,
        calls: Calls,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Exception | None:
        """Deliver one client message and put everything that answers it into `outlet`.

        Args:
            message: what the client sent.
            link: the upstream session it belongs to.
            caller: who sent it.
            outlet: where the answer goes.
            calls: the open calls of this client session.
            headers: the client's end-to-end MCP headers, lower-case names.

        Returns:
            What went wrong, after the client was told; None if nothing did.

        Raises:
            MalformedMessageError: nothing of it was carried.
        """
        if LAST_EVENT_ID in headers:  # only a stream is resumed, and there it is judged
            headers = {name: text for name, text in headers.items() if name != LAST_EVENT_ID}
        task = await self.task_of(message, caller)
        if task is not None and self.counter is not None:
            message, outlet = await self.counter.received(message, task, outlet)
            if task.theirs and self.rules is not None:
                headers = self.rules.rewritten(caller.server, message, headers)
        action = ACTIONS.get(message.method) if message.is_request else None
        route = Route(link, outlet, calls, headers)
        leg = Leg(message)
        if action is not None and self.delivery is not None:
            leg = self.delivery.leg(message, caller, calls)
        elif message.method == CANCELLED and calls.call_off(message):
            await outlet.begin(202, NO_HEADERS)
            return None
        # An answer that is sifted may leave by no other way, just as one that is judged.
        async with calls.opened(message, outlet, governed=action is not None or is_pinned(message.method)) as call:
            try:
                if task is None or task.theirs or self.counter is None or self.delivery is None:
                    await self._dispatch(call, leg, action, caller, route, task.run if task is not None else None)
                else:
                    await self.counter.serve(message, task, caller, outlet, self.gate, self.catalog, self.delivery)
            except (RefusedError, UpstreamError) as error:
                await self._tell(error, call, leg, caller, route)
                return error
            finally:
                if call.outlives is not None and self.counter is not None and calls.run is not None:
                    self.counter.book.outlive(call, leg.message, caller, calls.run, route.headers, link)
        return None

    async def make(self, task: Task, link: Link, outlet: Outlet, attendant: TaskAttendant) -> Message:
        """Judge the call of a task, let it wait for its person, and make it; returns the judged answer.

        Raises:
            RefusedError: it was not made, or its answer is withheld.
            UpstreamError: the server failed.
        """
        calls, message = Calls(), task.message
        calls.belongs_to(task.run)
        route = Route(link, outlet, calls, task.headers)
        now, action = self.clock.now(), ACTIONS[message.method]
        exchange = exchange_of(message, action, task.caller, task.run, self.catalog, now)
        answered = await judged_answers(self.gate, self.clock, exchange, message)
        if answered is not message:
            message, exchange = answered, replace(exchange, request=request_of(answered))
        async with calls.opened(message, outlet, governed=True) as call:
            attendant.attends(call)
            event = await self._govern(call, Leg(message), exchange, route, attendant)
        if event.message is None:
            raise UpstreamError("the server ended its answer without a response")
        return event.message

    async def task_of(self, message: Message, caller: Caller) -> Task | None:
        """The task of ours that a request is about, if it is.

        Raises:
            MalformedMessageError: there is no such task for this client.
        """
        if self.counter is None or not self.counter.looks(message, caller):
            return None
        return self.counter.task_of(message, caller, await self.place(signs_of(message, caller), caller.principal))

    async def _dispatch(
        self, call: Call, leg: Leg, action: Action | None, caller: Caller, route: Route, run: SessionRef | None
    ) -> None:
        """Carry a message by what it is."""
        message = call.message
        if message.is_response:
            await self._alive(message, caller, route.calls)
            told = message if self.counter is None else self.counter.book.to_server(message)
            await answer(route.calls.questions, told, route.headers)
            await route.outlet.begin(202, NO_HEADERS)
        elif action is None:
            await self._pass(call, caller, route)
        else:
            unlisted = await self._listed_first(call, caller, route)
            session = run or await self.place(signs_of(message, caller, makes_call=True), caller.principal)
            exchange = exchange_of(leg.message, action, caller, session, self.catalog, self.clock.now())
            if unlisted is not None:
                verdict = Verdict(Decision.DENY, by=PINS, rule="pin.no_listing", reason=str(unlisted))
                await self.gate.note_refused(exchange, verdict)
                raise unlisted
            answered = await judged_answers(self.gate, self.clock, exchange, leg.message)
            if answered is not leg.message:
                leg = replace(leg, message=answered)
                exchange = replace(exchange, request=request_of(answered))
            route.calls.belongs_to(exchange.session)
            await call.answer(await self._govern(call, leg, exchange, route))

    async def _tell(
        self, error: RefusedError | UpstreamError, call: Call, leg: Leg, caller: Caller, route: Route
    ) -> None:
        """Tell the client why its message was not carried."""
        if call.called_off:  # who called it off wants no answer (2025-11-25, "Cancellation")
            await route.outlet.begin(202, NO_HEADERS)
            return
        leg = leg.going_on(call.resumes)
        asked = await self.delivery.answer(error, leg, caller, route) if self.delivery else None
        told = asked or errors.answer(error, call.message, caller.era)
        call.withheld = asked is None or call.resumes is None
        await route.outlet.begin(told.status, NO_HEADERS)
        if call.message.is_request:
            await call.answer(Event(told.message))

    async def listen(
        self, link: Link, caller: Caller, outlet: Outlet, calls: Calls, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """Put what the server sends of its own accord into `outlet`, until one side ends it or the run is killed.

        Raises:
            RefusedError: the run was killed.
            UpstreamError: the server cannot be reached.
        """
        runs = await self._alive(None, caller, calls)
        own = frame_of_stream(caller, runs[-1], self.clock.now(), headers)
        if LAST_EVENT_ID in headers:
            await self.gate.inspect(own, Phase.REQUEST)
        route = Route(link, outlet, calls, headers)
        with anyio.CancelScope() as scope, Cut(self.kills, caller, runs, calls, scope) as cut:
            reply = await link.listen(headers)
            try:
                await outlet.begin(reply.status, reply.headers)
                async with self._announcing(reply, calls, outlet):
                    async for event in reply.events:
                        found = await calls.replayed(await placed(self.gate, own, event))
                        if found is not None:
                            cause = own if calls.run is None else replace(own, session=calls.run)
                            await self._came(found, cause, route)
            finally:
                with anyio.CancelScope(shield=True):
                    await reply.aclose()
        cut.check()

    def _announcing(self, reply: Reply, calls: Calls, outlet: Outlet) -> AbstractAsyncContextManager[None]:
        if self.delivery is None or reply.status != OPEN:
            return nullcontext()
        return self.delivery.announcing(calls, outlet)

    # -- passed on --------------------------------------------------------------------------------------------------

    async def _pass(self, call: Call, caller: Caller, route: Route) -> None:
        message = call.message
        runs = await self._alive(message, caller, route.calls)
        framed = frame(message, caller, runs[-1], self.clock.now())
        sent = await to_server(self.gate, framed, message)
        route = self._refitted(route, caller.server, sent, message)
        with anyio.CancelScope() as scope, Cut(self.kills, caller, runs, route.calls, scope) as cut:
            reply = await route.link.send(sent, route.headers)
            event = await self._until_answered(reply, call, framed, route)
            if event is not None and self.pins is not None:
                event = await self.pins.event(caller.server, message.method, event)
            if event is not None and event.message is not None:
                passed = await response_to_client(self.gate, framed, event.message)
                passed = await judged_inputs(self.gate, self.clock, framed, passed)
                if self.delivery is not None:
                    passed = self.delivery.introduced(message, passed, route.calls)
                await call.answer(event if passed is event.message else replace(event, message=passed))
        cut.check()

    async def _came(self, event: Event, cause: Exchange, route: Route, call: Call | None = None) -> None:
        """Something came from the server that is not the answer to `call`."""
        put = route.outlet.put if call is None else call.put
        event = event if self.counter is None else self.counter.book.to_client(event)
        message = event.message
        if message is not None and message.is_request:
            asking = Asking(self.gate, self.clock, self.patience, route.link, route.calls.questions, route.headers)
            await asking.ask(event, cause, put)
            return
        if message is not None and message.method == CANCELLED:
            route.calls.questions.withdraw(message.params.get("requestId"))
        await pass_on(self.gate, cause, event, put)

    def _refitted(self, route: Route, server: str, sent: Message, message: Message) -> Route:
        """The route with the headers that fit an edited message."""
        if sent is message or self.rules is None:
            return route
        return route._replace(headers=self.rules.rewritten(server, sent, route.headers))

    async def _alive(self, message: Message | None, caller: Caller, calls: Calls) -> list[SessionRef]:
        """The runs of a message that is not governed; killed runs send nothing at all.

        A message by itself may show less evidence than the calls of its client session did, so theirs counts too.
        """
        own = await self.place(signs_of(message, caller), caller.principal)
        runs = [own] if calls.run is None or calls.run.id == own.id else [own, calls.run]
        for run in runs:
            verdict = await self.kills.verdict(caller.principal, run, caller.server)
            if verdict.decision.strength >= Decision.HOLD.strength:
                raise RefusedError(verdict, "")
        return runs

    async def _listed_first(self, call: Call, caller: Caller, route: Route) -> UpstreamError | None:
        """Ask the server what it lists, where a message is about something that this process never saw listed.

        Returns:
            Why it could not be asked; None if all is well.
        """
        if self.pins is None:
            return None
        message = call.message
        with contextlib.suppress(RefusedError):  # what refuses now refuses in the guard as well, and is recorded there
            if listing := await self.pins.wanted(message, caller):
                runs = await self._alive(message, caller, route.calls)
                cause = frame(message, caller, runs[-1], self.clock.now())

                async def came(event: Event) -> None:
                    await self._came(event, cause, route, call)

                try:
                    await self.pins.ask(listing, message, route.link, caller, route.headers, came)
                except UpstreamError as error:
                    return error
        return None

    # -- governed ---------------------------------------------------------------------------------------------------

    async def _govern(
        self, call: Call, leg: Leg, exchange: Exchange, route: Route, attendance: Attending | None = None
    ) -> Event:
        """Take one request through the guard; returns the answer that may leave, its outcome recorded."""
        message = leg.message
        if leg.choice is not None and self.delivery is not None:
            await self.delivery.decide(leg, exchange)
        every = self.delivery.progress_seconds if self.delivery is not None else PROGRESS_SECONDS
        attendance = attendance or Attendant(call, route.outlet, leg.seconds, self.clock, every)
        track = partial(self.kills.track, exchange.principal, exchange.session, server=exchange.resource.server)
        async with self.gate.passage(exchange, going_on(attendance, message, route.link)) as way:
            sent = message_of(way.exchange.request, message)
            route = self._refitted(route, exchange.resource.server, sent, message)
            call.send()
            try:
                reply = await route.link.send(sent, route.headers)
                message, event = await self._answer(reply, call, way.exchange, route)
                if self.counter is not None:
                    self.counter.book.theirs.heard(leg.message, message, exchange, route, track)
            except UpstreamError as error:
                delivered = not isinstance(error, UpstreamUnreachableError)
                await way.settle(Outcome("unknown" if delivered else "error", error=str(error)))
                raise
            if isinstance(reply, Suspending):
                reply.ends_with(track)
            judged = await self._judged(way, call, message, attendance.for_questions())
            failed = "error" in judged.value or result_of(judged).get("isError") is True
            await way.settle(Outcome("error" if failed else "ok", upstream_status=reply.status))
        return replace(event, message=judged)

    async def _answer(self, reply: Reply, call: Call, exchange: Exchange, route: Route) -> tuple[Message, Event]:
        """The response of a governed request, with the event that brought it."""
        event = await self._until_answered(reply, call, exchange, route)
        if event is None and call.resumable:
            with anyio.move_on_after(self.patience):
                event = await call.resumed()
        if event is None or event.message is None:
            raise UpstreamError("the server ended its answer without a response")
        return event.message, event

    async def _judged(self, way: Way, call: Call, message: Message, attendance: Attendance) -> Message:
        """The response to a request that may leave."""
        action, server = way.exchange.action, way.exchange.resource.server
        if action is Action.TOOL_LIST:
            await learned(self.catalog, server, call.message, message)
        if self.pins is not None:
            message = await self.pins.sifted(server, call.message.method, message)
        exchange = await way.respond(response_of(message, action))
        judged = message if exchange.response is None else message_of(exchange.response, message)
        if asks(judged):
            judged = await self._with_inputs(way, call, judged, attendance)
        result = judged.value.get("result")
        if isinstance(result, dict):
            changed = seen_of(self.gate, self.catalog, exchange, result) if action is Action.TOOL_LIST else result
            if call.message.method == "tasks/list" and self.counter is not None:
                changed = self.counter.book.listed(call.message, exchange, result)
            said = [*(verdict.reason for verdict in way.warnings), *way.notices]
            if said and action is Action.TOOL_CALL:
                changed = errors.with_warnings(changed, said)
            if changed is not result:
                return Message.build({**judged.value, "result": changed})
        return judged

    async def _until_answered(self, reply: Reply, call: Call, cause: Exchange, route: Route) -> Event | None:
        """Pass on what may leave before the response, live; returns the response, or None where there is none."""
        call.reply = reply
        await route.outlet.begin(reply.status, reply.headers)
        async for came in reply.events:
            event = await placed(self.gate, cause, came) if came.event_id else came
            if event.message is None:
                await call.put(event)
            elif not event.message.is_response:
                await self._came(event, cause, route, call)
            elif event.message.id == call.message.id or event.message.id is None:
                return event
            else:
                log.warning("a response to another request was dropped")
        return None

    async def _with_inputs(self, way: Way, call: Call, message: Message, attendance: Attendance) -> Message:
        """The response with the questions in it that may be put to the client."""
        try:
            return await judged_inputs(self.gate, self.clock, way.exchange, message, suspended(attendance, call.reply))
        except RefusedError as error:
            if error.ticket:
                call.resumes = result_of(message).get("requestState")
                raise
            way.withhold(error.verdict)
