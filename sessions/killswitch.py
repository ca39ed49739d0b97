"""Stopping a run for good.

The table is the truth: every gate, in both processes, goes by what it held a few milliseconds ago at most, and a state
that cannot be read refuses. The watch only hurries: it cuts what is already running. Nothing here knows what an
exchange does.
"""

import contextlib
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

import anyio

from governance.audit.event import AuditLog, Draft, Tag
from governance.clock import Clock
from governance.exchange import Exchange, Phase, Principal, SessionRef
from governance.verdict import ALLOWED, Decision, Verdict

WATCH_SECONDS = 0.2


class Scope(StrEnum):
    """What a kill stops."""

    SESSION = "session"
    KEY = "key"
    AGENT = "agent"
    TENANT = "tenant"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill that is in force."""

    scope: Scope
    target: str
    reason: str
    actor: str


def targets(principal: Principal, session: SessionRef) -> tuple[tuple[Scope, str], ...]:
    """Every `(scope, target)` whose kill would stop this principal in this run."""
    found = (
        (Scope.SESSION, session.id),
        (Scope.KEY, principal.key_id),
        (Scope.TENANT, principal.tenant),
        (Scope.ALL, ""),
    )
    return (*found, (Scope.AGENT, principal.agent)) if principal.agent else found


InForce: TypeAlias = Mapping[tuple[Scope, str], Kill]
"""Every kill in force, by its scope and target."""


class KillStore(Protocol):
    """The table of kills."""

    async def in_force(self, *, now: bool = False) -> InForce:
        """What is in force, as of at most a few milliseconds ago; with `now`, as of this moment."""
        ...

    async def set(self, kill: Kill, draft: Draft) -> bool:
        """Put a kill in force, with its event in the same transaction; false if it was in force already."""
        ...

    async def lift(self, scope: Scope, target: str, actor: str, draft: Draft) -> bool:
        """Lift a kill; false if none was in force."""
        ...


@dataclass(eq=False)
class Running:
    """One exchange that is under way and can be cut."""

    principal: Principal
    session: SessionRef
    cut: Callable[[Verdict], None]


@dataclass(frozen=True)
class KillSwitch:
    """The switch, as the guard, the console and the command line use it."""

    store: KillStore
    audit: AuditLog
    clock: Clock
    on_kill: Callable[[Kill], Awaitable[None]] | None = None
    """Called after a kill is in force, for what else must be closed."""
    running: set[Running] = field(default_factory=set[Running])

    async def verdict(self, principal: Principal, session: SessionRef) -> Verdict:
        """`kill` when anything that stops this run is in force. Raises where the state is unknown: so it refuses."""
        kills = await self.store.in_force()
        return _strike(kills, principal, session) if kills else ALLOWED

    async def kill(self, scope: Scope, target: str, *, reason: str, actor: str) -> bool:
        """Stop a run, a key, an agent, a tenant or everything: durable when it returns, false if it was already."""
        kill = Kill(scope, target, reason[:500], actor)
        fresh = await self.store.set(kill, _draft(Tag.SESSION_KILLED, scope, target, kill.reason, actor))
        self._cut({(scope, target): kill})
        if self.on_kill is not None:
            await self.on_kill(kill)
        return fresh

    async def revive(self, scope: Scope, target: str, *, reason: str, actor: str) -> bool:
        """Lift a kill; false if none was in force."""
        return await self.store.lift(
            scope, target, actor, _draft(Tag.SESSION_REVIVED, scope, target, reason[:500], actor)
        )

    async def watch(self) -> None:
        """Cut what runs although it was killed elsewhere. Never returns; a table it cannot read cuts everything."""
        blind = 0
        while True:
            if self.running:
                try:
                    self._cut(await self.store.in_force(now=True))
                    blind = 0
                except Exception:  # noqa: BLE001 - whatever broke, an unknown kill state must stop what runs
                    blind += 1
                    if blind * WATCH_SECONDS >= 1:
                        self._cut({(Scope.ALL, ""): Kill(Scope.ALL, "", "the kill switch cannot be read", "wicket")})
            await anyio.sleep(WATCH_SECONDS)

    @contextlib.contextmanager
    def track(self, principal: Principal, session: SessionRef, cut: Callable[[Verdict], None]) -> Generator[None]:
        """Let `cut` be called when this run is killed while the block is open."""
        entry = Running(principal, session, cut)
        self.running.add(entry)
        try:
            yield
        finally:
            self.running.discard(entry)

    def _cut(self, kills: InForce) -> None:
        struck = [(entry, _strike(kills, entry.principal, entry.session)) for entry in self.running] if kills else []
        for entry, verdict in struck:
            if verdict is not ALLOWED:
                self.running.discard(entry)
                entry.cut(verdict)


def _strike(kills: InForce, principal: Principal, session: SessionRef) -> Verdict:
    kill = next((kills[one] for one in targets(principal, session) if one in kills), None)
    return ALLOWED if kill is None else refusal(kill)


def refusal(kill: Kill) -> Verdict:
    """What a killed run is told."""
    what = "everything" if kill.scope is Scope.ALL else f"this {kill.scope.value}"
    return Verdict(
        Decision.KILL, by="kill", rule=f"kill.{kill.scope.value}", reason=f"{what} was stopped: {kill.reason}"
    )


def _draft(tag: Tag, scope: Scope, target: str, reason: str, actor: str) -> Draft:
    return Draft(
        tag,
        {"scope": scope.value, "target": target, "reason": reason, "actor": actor}
        | ({"session_id": target} if scope is Scope.SESSION else {}),
    )


class KillStage:
    """The gate."""

    name = "kill"

    def __init__(self, switch: KillSwitch) -> None:
        self._switch = switch

    async def judge(self, exchange: Exchange, phase: Phase) -> Verdict:
        """Refuse whatever belongs to something that was killed."""
        return await self._switch.verdict(exchange.principal, exchange.session)
