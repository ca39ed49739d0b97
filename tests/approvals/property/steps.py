"""One actor of the race: the random steps that it takes through the real guard, desk, pins, policy and kill switch.

It asserts nothing: what was allowed is found out by `judge.py`.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, and handed in

import anyio

from approvals.amendment import AmendmentError
from approvals.desk import Held, HeldState
from governance import jsontree
from governance.exchange import Action, Body, Exchange, Principal, Resource, SessionRef
from governance.jsontree import JsonObject
from governance.pins.pin import Kind
from governance.stage import Outcome, RefusedError
from governance.verdict import Decision, Verdict
from pipeline.runtime import Runtime
from sessions.killswitch import Scope
from tests.approvals.property.board import Board, SharedClock
from tests.approvals.property.journal import Approved, Forwarded, Journal, Span
from tests.approvals.property.scene import (
    CALLS,
    DEFINITIONS,
    PEOPLE,
    SESSIONS,
    TIMEOUT,
    TOOLS,
    VARIANTS,
    WORKERS,
    Call,
    write_policy,
)
from tests.approvals.property.scene import definition as definition_of

ANSWER: JsonObject = {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}
SERVER = "files"


PLANS = ((), ("approve", "approve", "call"), ("approve", "approve", "late", "redeem"), ("change", "approve", "call"))
"""How actors go on at times after they were told that a call waits."""


@dataclass(frozen=True)
class Visitor:
    """A client: how long it waits, whether it stays, and whether its proxy has something against going on."""

    seconds: float = 0
    present: bool = True
    objects: bool = False

    async def objection(self) -> Verdict | None:
        return Verdict(Decision.DENY, by="guard", rule="client.later", reason="later") if self.objects else None

    def waiting(self, ticket_id: str, link: str, *, detached: bool) -> AbstractAsyncContextManager[None]:
        return nullcontext()


@dataclass
class Place:
    """What the actors of one process share."""

    worker: int
    runtime: Runtime
    board: Board
    clock: SharedClock
    principals: list[Principal]
    policy: Path
    journal: Journal
    switching: anyio.Lock = field(default_factory=anyio.Lock)
    """Held while it changes which of its runs are alive, so that its journal has one order; the same below."""
    ruling: anyio.Lock = field(default_factory=anyio.Lock)
    defining: anyio.Lock = field(default_factory=anyio.Lock)
    made: int = 0


@dataclass
class Actor:
    """Takes steps, one after another."""

    place: Place
    random: Random
    focus: Call = CALLS[0]
    plan: list[str] = field(default_factory=list[str])
    """What it takes next, where one thing leads to another."""

    async def run(self, steps: int) -> None:
        """Take so many steps."""
        kinds = tuple(self.steps)
        weights = [self.steps[one][0] for one in kinds]
        for _ in range(steps):
            if not self.plan and self.random.random() < 0.2:
                self.focus = CALLS[min(self.random.randrange(len(CALLS)), self.random.randrange(len(CALLS)))]
            kind = self.plan.pop(0) if self.plan else self.random.choices(kinds, weights)[0]
            self.place.journal.steps[kind] = self.place.journal.steps.get(kind, 0) + 1
            await self.steps[kind][1]()

    @property
    def steps(self) -> dict[str, tuple[float, Callable[[], Awaitable[None]]]]:
        """Every kind of step, and how often it comes."""
        return {
            "call": (30, self.call),
            "approve": (20, self.approve),
            "change": (4, self.change),
            "deny": (1, self.deny),
            "withdraw": (0.7, self.withdraw),
            "redeem": (2.5, self.redeem),
            "time": (3, self.let_time_pass),
            "late": (0.05, self.let_it_run_out),
            "sweep": (0.5, self.sweep),
            "kill": (0.3, self.kill),
            "revive": (1.5, self.revive),
            "policy": (0.3, self.change_policy),
            "pin": (0.3, self.change_pin),
            "look": (12, self.look),
        }

    # -- the agent ----------------------------------------------------------------------------------------------------

    async def call(self) -> None:
        """Make the call, or make it again; sometimes as defined earlier, with patience, or by a client that leaves."""
        place, mood = self.place, self.random.random()
        stale = self.random.random() < 0.05
        number = self.random.randrange(DEFINITIONS) if stale else place.board.live
        visitor = Visitor(0.3 if mood < 0.04 else 0, present=not 0.04 <= mood < 0.08, objects=0.08 <= mood < 0.12)
        exchange, start, elapsed = self._exchange(jsontree.digest(definition_of(number))), *self._moment()
        try:
            async with place.runtime.guard.passage(exchange, visitor) as passage:
                sent = passage.exchange
                place.journal.forwarded.append(
                    Forwarded(
                        sent.id, start, place.clock.real(), elapsed, sent.principal.key_id, sent.session.id,
                        sent.resource.name, sent.resource.definition, jsontree.digest(sent.arguments),
                    )
                )  # fmt: skip
                await passage.respond(Body(ANSWER))
                await passage.settle(Outcome("ok"))
        except RefusedError as refused:
            if refused.ticket:
                place.board.post(self.focus.slot, refused.ticket)
                self.plan = list(self.random.choices(PLANS, (60, 28, 1.5, 10))[0])
            rule = refused.verdict.rule
            place.journal.refusals[rule] = place.journal.refusals.get(rule, 0) + 1

    async def redeem(self) -> None:
        """Somebody presents what they say is the approval, at the desk itself; others do the same meanwhile."""
        ticket = self._ticket()
        held = Held(HeldState.APPROVED, ticket, "", "", f"exc_forged_{self.place.worker}")
        if await self.place.runtime.desk.consume(held):
            self.place.journal.redeemed.append(ticket)

    # -- people -------------------------------------------------------------------------------------------------------

    async def approve(self) -> None:
        """Somebody approves the call as it is now, or as it was asked for, whether or not it was changed since."""
        await self._approve(None, looks=self.random.random() < 0.3)

    async def change(self) -> None:
        """Somebody changes the arguments and approves."""
        await self._approve({"n": self.random.randrange(3), "to": self.random.choice(("one", "all"))}, looks=True)

    async def deny(self) -> None:
        """Somebody denies."""
        await self.place.runtime.desk.deny(self._ticket(), by=self.random.choice(PEOPLE), reason="no")

    async def withdraw(self) -> None:
        """The client calls its call off."""
        await self.place.runtime.desk.withdraw(self._ticket(), by="client", reason="called off")

    async def look(self) -> None:
        """Somebody looks at the page."""
        await self.place.runtime.desk.get(self._ticket())

    async def _approve(self, arguments: JsonObject | None, *, looks: bool) -> None:
        desk, ticket, digest = self.place.runtime.desk, self._ticket(), ""
        if looks:
            found = await desk.get(ticket)
            digest = "" if found is None else found.current
        person, (start, _) = self.random.choice(PEOPLE), self._moment()
        try:
            decided = await desk.approve(ticket, by=person, digest=digest, arguments=arguments)
        except AmendmentError:
            return
        if decided is not None and decided.made:
            self.place.journal.decided.append(Span(start, self.place.clock.real(), ticket))
            if arguments is None:
                self.place.journal.approved.append(Approved(ticket, person.person, digest))

    # -- the world ----------------------------------------------------------------------------------------------------

    async def let_time_pass(self) -> None:
        """A moment, or long enough for what waits to run out."""
        self.place.board.pass_time(self.place.worker, self.random.choices((1, 20, 150, 301), (70, 22, 6, 2))[0])

    async def let_it_run_out(self) -> None:
        """Whatever waits or was approved by now is too late, whether or not anybody has noticed."""
        self.place.board.pass_time(self.place.worker, TIMEOUT + 1)

    async def sweep(self) -> None:
        """The watch comes round."""
        await self.place.runtime.desk.look()

    async def kill(self) -> None:
        """Stop a run of this process's own."""
        await self._switch("killed")

    async def revive(self) -> None:
        """Let it go on."""
        await self._switch("alive")

    async def _switch(self, state: str) -> None:
        place, kills = self.place, self.place.runtime.kills
        session = SESSIONS[place.worker :: WORKERS][self.random.randrange(len(SESSIONS) // WORKERS)]
        async with place.switching:
            spans = place.journal.runs.setdefault(session, [Span(0, 0, "alive")])
            if spans[-1].value == state:
                return
            start = place.clock.real()
            if state == "killed":
                await kills.kill(Scope.SESSION, session, reason="enough", actor="test")
            else:
                await kills.revive(Scope.SESSION, session, reason="again", actor="test")
            self._tell_the_other()
            spans.append(Span(start, place.clock.real(), state))

    async def change_policy(self) -> None:
        """Other rules come into force in this process."""
        place = self.place
        async with place.ruling:
            start = place.clock.real()
            write_policy(place.policy, self.random.randrange(VARIANTS))
            await place.runtime.policies.reload()
            version = place.runtime.policies.current.version
            place.journal.policies.append(Span(start, place.clock.real(), version))

    async def change_pin(self) -> None:
        """The server defines its tools otherwise; a person trusts that at times. One process owns the server."""
        place, number = self.place, self.random.randrange(DEFINITIONS)
        trusted = self.random.random() < 0.85
        if place.worker != 0:
            return
        async with place.defining:
            start = place.clock.real()
            await define(place, number)
            if trusted:
                for pin in await place.runtime.reviews.pins(waiting=True):
                    await place.runtime.reviews.approve(pin.id, by="ann")
            waiting = await place.runtime.reviews.pins(waiting=True)
            self._tell_the_other()
            usable = "" if waiting else jsontree.digest(definition_of(number))
            place.journal.definitions.append(Span(start, place.clock.real(), usable))

    # -- within -------------------------------------------------------------------------------------------------------

    def _tell_the_other(self) -> None:
        """Let the moment pass for which the other process may go by what it read before."""
        self.place.board.age(self.place.worker, 0.25)

    def _ticket(self) -> str:
        return self.place.board.ticket(self.focus.slot)

    def _moment(self) -> tuple[float, float]:
        return self.place.clock.real(), self.place.board.elapsed()

    def _exchange(self, digest: str) -> Exchange:
        place, call = self.place, self.focus
        place.made += 1
        params: JsonObject = {"name": call.tool, "arguments": call.arguments}
        return Exchange(
            id=f"exc_{place.worker}_{place.made}",
            at=place.clock.now(),
            action=Action.TOOL_CALL,
            principal=place.principals[call.caller],
            resource=Resource(server=SERVER, name=call.tool, definition=digest),
            session=SessionRef(call.session, "explicit", 1),
            request=Body({"jsonrpc": "2.0", "id": place.made, "method": "tools/call", "params": params}),
            facts={"plane": "mcp"},
        )


async def define(place: Place, number: int) -> None:
    """The server lists its tools, in one of their forms."""
    given = {tool: definition_of(number) for tool in TOOLS}
    await place.runtime.pins.learn(SERVER, Kind.TOOL, given, complete=True)
    place.board.live = number
