"""The roll: which runs there are, written down at their first sign and now and then while they go on.

What happened in a run is in the audit log; this is only the list of them, and how each was told apart.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from governance import jsontree
from governance.clock import Clock, rfc3339
from governance.exchange import Exchange, Principal, SessionRef
from governance.store import Work
from sessions.correlate import EVIDENCE, ONLY_RUN, Signs, correlate

REMEMBERED = 10_000
"""Runs whose last sign is kept in memory; beyond that the oldest are simply written again."""
REFRESH_SECONDS = 30
ACTIVE_MINUTES = 15
"""How recent a model call must be for a tool call of the same key to be counted to its run."""
PLACED_SECONDS = 5
"""How long the answer for one transport session stands before the table is asked again."""


@dataclass(frozen=True, slots=True)
class Run:
    """One agent's run, as the list shows it."""

    id: str
    key_id: str
    tenant: str
    agent: str
    evidence: str
    rank: int
    source: str
    plane: str
    """Planes it was seen on: `llm`, `mcp`, or `llm,mcp`."""
    first_seen: str
    last_seen: str


class RunStore(Protocol):
    """The table of runs."""

    def upsert(self, run: Run) -> Work[None]:
        """The work that writes a run down, or notes that it goes on. Run by whoever has a transaction open."""
        ...

    async def get(self, run_id: str) -> Run | None:
        """A run by its id."""
        ...

    async def named(self, name: str) -> list[Run]:
        """Runs by their id, or by the id their agent gave them."""
        ...

    async def recent_of_key(self, key_id: str, plane: str, since: datetime) -> list[Run]:
        """Runs of a key seen on a plane since a moment."""
        ...

    async def newest(self, limit: int = 200) -> list[Run]:
        """Runs, the last seen first."""
        ...


class Roll:
    """Notes runs as exchanges go by."""

    def __init__(self, store: RunStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._placed: OrderedDict[tuple[str, str], tuple[float, Run | None]] = OrderedDict()

    async def place(self, signs: Signs, principal: Principal) -> SessionRef:
        """The run of a tool call. With no better evidence than its transport, it is counted to the only run of its key.

        Two runs that might fit are no join: the call then belongs to its transport session, and says so.
        """
        found = correlate(signs, principal)
        if found.rank < ONLY_RUN:
            return found
        run = await self._only_run(principal.key_id, signs.transport)
        if run is None:
            return found
        return replace(
            found, id=run.id, evidence=EVIDENCE[ONLY_RUN], rank=ONLY_RUN, source=f"{found.source} {run.source}"
        )

    async def _only_run(self, key_id: str, transport: str) -> Run | None:
        moment = self._clock.monotonic()
        cached = self._placed.get((key_id, transport))
        if cached is not None and moment - cached[0] < PLACED_SECONDS:
            return cached[1]
        since = self._clock.now() - timedelta(minutes=ACTIVE_MINUTES)
        runs = await self._store.recent_of_key(key_id, "llm", since)
        only = runs[0] if len(runs) == 1 else None
        self._placed[key_id, transport] = (moment, only)
        self._placed.move_to_end((key_id, transport))
        if len(self._placed) > REMEMBERED:
            self._placed.popitem(last=False)
        return only

    def sign(self, exchange: Exchange) -> Work[None] | None:
        """What to write along with this exchange's decision: nothing, if its run was noted a moment ago."""
        plane = jsontree.as_text(exchange.facts.get("plane"))
        key = (exchange.session.id, plane)
        moment = self._clock.monotonic()
        last = self._seen.get(key)
        if last is not None and moment - last < REFRESH_SECONDS:
            return None
        self._seen[key] = moment
        self._seen.move_to_end(key)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        session, principal, now = exchange.session, exchange.principal, rfc3339(exchange.at)
        return self._store.upsert(
            Run(
                id=session.id,
                key_id=principal.key_id,
                tenant=principal.tenant,
                agent=principal.agent,
                evidence=session.evidence,
                rank=session.rank,
                source=session.source,
                plane=plane,
                first_seen=now,
                last_seen=now,
            )
        )
