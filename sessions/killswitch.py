"""Stopping a run for good.

The table is the truth: every gate, in both processes, goes by what it held a few milliseconds ago at most, and a state
that cannot be read refuses. The watch only hurries: it cuts what is already running. Nothing here knows what an
exchange does. That a process has carried a kill out is told by `witness.py`.
"""

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn, Protocol, TypeAlias

import anyio

from governance.audit.event import AuditLog, Draft, Tag
from governance.clock import Clock
from governance.exchange import Action, Exchange, Phase, Principal, SessionRef
from governance.stage import Thought
from governance.verdict import ALLOWED, Decision, Verdict

WATCH_SECONDS = 0.2
MOST_COUNTED = 10_000
"""Kills for which it is remembered how much they cut; beyond it the count begins again at nothing."""


class Scope(StrEnum):
    """What a kill stops."""

    SESSION = "session"
    KEY = "key"
    AGENT = "agent"
    USER = "user"
    TEAM = "team"
    TENANT = "tenant"
    SERVER = "server"
    """An MCP server, or a provider of models, by its name in the configuration."""
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill that is in force, or that was lifted half."""

    scope: Scope
    target: str
    reason: str
    actor: str
    at: str = ""
    """When it was thrown, or last changed, RFC 3339."""
    epoch: int = 0
    """Its place among all kills and revivals."""
    probation: bool = False
    """It goes on, but a person is asked about each tool call."""


Target: TypeAlias = tuple[Scope, str]
InForce: TypeAlias = Mapping[Target, Kill]
"""Every kill in force, by its scope and target; those on probation too."""


def targets(principal: Principal, session: SessionRef, server: str = "") -> tuple[Target, ...]:
    """Every `(scope, target)` whose kill would stop this principal in this run, at this server."""
    found: tuple[Target, ...] = (
        (Scope.SESSION, session.id),
        (Scope.KEY, principal.key_id),
        (Scope.AGENT, principal.agent),
        (Scope.USER, principal.user),
        (Scope.TEAM, principal.team),
        (Scope.TENANT, principal.tenant),
        (Scope.SERVER, server),
    )
    if session.also:
        found += tuple((Scope.SESSION, one) for one in session.also)
    return (*(one for one in found if one[1]), (Scope.ALL, ""))


class KillStore(Protocol):
    """The table of kills."""

    async def in_force(self, *, now: bool = False) -> InForce:
        """What is in force, as of at most a few milliseconds ago; with `now`, as of this moment."""
        ...

    def fresh(self) -> InForce | None:
        """What `in_force` tells, if it need not wait for it."""
        ...

    async def set(self, kill: Kill, draft: Draft) -> bool:
        """Put a kill in force, with its event in the same transaction; false if it was in force already."""
        ...

    async def lift(self, scope: Scope, target: str, actor: str, draft: Draft, *, probation: bool = False) -> bool:
        """Lift a kill, or put it on probation; false if there was nothing to lift."""
        ...


class Watcher(Protocol):
    """Told again and again what is in force and what still has to end (`sessions.witness.Witness`)."""

    async def look(self, kills: InForce, ending: Mapping[Target, int], cut: Mapping[Target, int]) -> None:
        """What is in force, and for each kill how much of it has not ended yet and how much it cut. Never raises."""
        ...


@dataclass(eq=False)
class Running:
    """One exchange that is under way and can be cut."""

    principal: Principal
    session: SessionRef
    cut: Callable[[Verdict], None]
    server: str = ""
    struck: Target | None = None
    """The kill that cut it."""


@dataclass(frozen=True)
class KillSwitch:
    """The switch, as the guard, the console and the command line use it."""

    store: KillStore
    audit: AuditLog
    clock: Clock
    on_kill: Callable[[Kill], Awaitable[None]] | None = None
    """Called after a kill is in force, for what else must be closed."""
    watcher: Watcher | None = None
    """Told by the watch what is in force, in a process that serves."""
    running: set[Running] = field(default_factory=set[Running])
    ending: Counter[Target] = field(default_factory=Counter[Target])
    """How much of what each kill cut has not ended yet."""
    counts: Counter[Target] = field(default_factory=Counter[Target])
    """How much each kill cut in this process."""

    async def verdict(self, principal: Principal, session: SessionRef, server: str = "") -> Verdict:
        """`kill` when anything that stops this run is in force. Raises where the state is unknown: so it refuses."""
        return _verdict(await self.store.in_force(), principal, session, server)

    async def kill(self, scope: Scope, target: str, *, reason: str, actor: str) -> bool:
        """Stop what a scope names: durable when it returns, false if it was already.

        Raises:
            ValueError: no reason, or nobody who gives it.
        """
        if not reason.strip() or not actor:
            raise ValueError("a kill needs a reason and somebody who gives it")
        kill = Kill(scope, target, reason[:500], actor)
        fresh = await self.store.set(kill, _draft(Tag.SESSION_KILLED, scope, target, kill.reason, actor))
        self._cut({(scope, target): kill})
        if self.on_kill is not None:
            await self.on_kill(kill)
        return fresh

    async def revive(self, scope: Scope, target: str, *, reason: str, actor: str, probation: bool = False) -> bool:
        """Lift a kill, or with `probation` only so far that a person is asked about each tool call.

        Returns:
            False if there was nothing to lift.
        """
        draft = _draft(Tag.SESSION_REVIVED, scope, target, reason[:500], actor, probation=probation)
        return await self.store.lift(scope, target, actor, draft, probation=probation)

    async def watch(self) -> None:
        """Cut what runs although it was killed elsewhere. Never returns; a table it cannot read cuts everything."""
        seen: list[InForce] = []
        async with anyio.create_task_group() as tasks:
            if self.watcher is not None:
                tasks.start_soon(self._tell, self.watcher, seen)
            await self._look(seen)

    async def _tell(self, watcher: Watcher, seen: list[InForce]) -> None:
        """Tell the watcher of what was cut. Apart from the looking, which must not wait for what is written here."""
        while True:
            if seen:
                await watcher.look(seen[0], self.ending, self.counts)
            await anyio.sleep(WATCH_SECONDS)

    async def _look(self, seen: list[InForce]) -> NoReturn:
        """Look and cut, again and again; `seen` holds what was carried out last."""
        blind = 0
        while True:
            if self.running or self.watcher is not None:
                try:
                    kills = await self.store.in_force(now=True)
                    self._cut(kills)
                    seen[:] = [kills]
                    blind = 0
                except Exception:  # noqa: BLE001 - whatever broke, an unknown kill state must stop what runs
                    blind += 1
                    if blind * WATCH_SECONDS >= 1:
                        self._cut({(Scope.ALL, ""): Kill(Scope.ALL, "", "the kill switch cannot be read", "wicket")})
            await anyio.sleep(WATCH_SECONDS)

    @contextlib.contextmanager
    def track(
        self, principal: Principal, session: SessionRef, cut: Callable[[Verdict], None], *, server: str = ""
    ) -> Generator[None]:
        """Let `cut` be called when this run is killed while the block is open."""
        entry = Running(principal, session, cut, server)
        self.running.add(entry)
        try:
            yield
        finally:
            self.running.discard(entry)
            if entry.struck is not None:
                self.ending[entry.struck] -= 1
                if not self.ending[entry.struck]:
                    del self.ending[entry.struck]

    def _cut(self, kills: InForce) -> None:
        found = [(one, _strike(kills, one.principal, one.session, one.server)) for one in self.running] if kills else []
        for entry, kill in found:
            if kill is not None:
                self.running.discard(entry)
                entry.struck = (kill.scope, kill.target)
                self._count(entry.struck)
                entry.cut(refusal(kill))

    def _count(self, target: Target) -> None:
        if len(self.counts) >= MOST_COUNTED:
            self.counts.clear()
        self.ending[target] += 1
        self.counts[target] += 1


def _verdict(kills: InForce, principal: Principal, session: SessionRef, server: str) -> Verdict:
    kill = _strike(kills, principal, session, server) if kills else None
    return ALLOWED if kill is None else refusal(kill)


def _probation(kills: InForce, principal: Principal, session: SessionRef, server: str) -> Kill | None:
    """What makes each tool call of this run wait for a person, if anything does."""
    found = (kills.get(one) for one in targets(principal, session, server)) if kills else ()
    return next((kill for kill in found if kill is not None and kill.probation), None)


def _strike(kills: InForce, principal: Principal, session: SessionRef, server: str) -> Kill | None:
    found = (kills.get(one) for one in targets(principal, session, server))
    return next((kill for kill in found if kill is not None and not kill.probation), None)


def refusal(kill: Kill) -> Verdict:
    """What a killed run is told."""
    what = "everything" if kill.scope is Scope.ALL else f"this {kill.scope.value}"
    return Verdict(
        Decision.KILL, by="kill", rule=f"kill.{kill.scope.value}", reason=f"{what} was stopped: {kill.reason}"
    )


def _draft(tag: Tag, scope: Scope, target: str, reason: str, actor: str, *, probation: bool = False) -> Draft:
    return Draft(
        tag,
        {"scope": scope.value, "target": target, "reason": reason, "actor": actor}
        | ({"session_id": target} if scope is Scope.SESSION else {})
        | ({"probation": True} if probation else {}),
    )


class KillStage:
    """The gate."""

    name = "kill"

    def __init__(self, switch: KillSwitch) -> None:
        self._switch = switch

    def judge(self, exchange: Exchange, phase: Phase) -> Thought:
        """Refuse whatever belongs to something that was killed."""
        resource = exchange.resource
        place = resource.server or resource.provider
        kills = self._switch.store.fresh()
        if kills is None:
            return self._switch.verdict(exchange.principal, exchange.session, place)
        return _verdict(kills, exchange.principal, exchange.session, place)


class ProbationStage:
    """What was killed and goes on by half: a person is asked about each tool call."""

    name = "probation"

    def __init__(self, switch: KillSwitch) -> None:
        self._switch = switch

    def judge(self, exchange: Exchange, phase: Phase) -> Thought:
        """Hold a tool call of whatever is on probation."""
        if exchange.action is not Action.TOOL_CALL or phase is not Phase.REQUEST:
            return ALLOWED
        kills = self._switch.store.fresh()
        return self._looked(exchange) if kills is None else self._told(kills, exchange)

    async def _looked(self, exchange: Exchange) -> Verdict:
        return self._told(await self._switch.store.in_force(), exchange)

    def _told(self, kills: InForce, exchange: Exchange) -> Verdict:
        kill = _probation(kills, exchange.principal, exchange.session, exchange.resource.server)
        if kill is None:
            return ALLOWED
        what = "everything" if kill.scope is Scope.ALL else f"this {kill.scope.value}"
        reason = f"{what} was stopped ({kill.reason}), and goes on with a person asked about each tool call"
        return Verdict(Decision.HOLD, by="kill", rule=f"probation.{kill.scope.value}", reason=reason)
