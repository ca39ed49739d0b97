"""The roll: which runs there are, how each was told apart, and where a tool call belongs.

What happened in a run is in the audit log; this is only the list of them. A tool call that a model asked for ties its
whole transport to the model's run; a transport on which calls of two runs came is tied to neither.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from governance import jsontree
from governance.clock import Clock, rfc3339
from governance.exchange import Exchange, Principal, Proposed, SessionRef, ToolUse
from governance.store import Work, together
from sessions.correlate import (
    CONVERSATION,
    EVIDENCE,
    KEY,
    TOOL_CALL,
    TRANSPORT,
    Signs,
    answered,
    correlate,
    is_call_id,
    session_id,
)
from sessions.proposals import KEPT_MINUTES, Match, Proposal, Proposals

REMEMBERED = 10_000
"""Runs whose last sign is kept in memory, and transports that are known; beyond that the oldest are asked for again."""
REFRESH_SECONDS = 30
MOST_PROPOSED = 128
"""Tool calls of one answer that are written down."""
NAME_CHARACTERS = 200


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
    verified: bool = False
    """Whether we know it by what we ourselves sent; otherwise the client asserted it."""
    parent_id: str = ""
    """The run that started this one."""
    joined_id: str = ""
    """The run that this one turned out to be a part of: a transport before its first call could be joined."""


class RunStore(Protocol):
    """The table of runs."""

    def upsert(self, run: Run) -> Work[None]:
        """The work that writes a run down, or notes that it goes on. Run by whoever has a transaction open."""
        ...

    async def get(self, run_id: str) -> Run | None:
        """A run by its id."""
        ...

    async def join(self, run_id: str, into: str) -> None:
        """Note that a run is part of another; empty = that it is not."""
        ...

    async def write(self, work: Work[None]) -> None:
        """Make a work durable by itself; raises `StoreError` where that cannot be done."""
        ...


@dataclass(slots=True)
class _Tie:
    """The run that a transport belongs to."""

    run: str = ""
    several: bool = False
    """Whether calls of more than one run came on it, so that what is not found belongs to none of them."""


class Roll:
    """Notes runs as exchanges go by.

    Args:
        store: the table of runs.
        clock: tells how long ago a run was noted.
        proposals: what models asked for; `None` where no model is served, so that nothing can be joined.
    """

    def __init__(self, store: RunStore, clock: Clock, proposals: Proposals | None = None) -> None:
        self._store = store
        self._clock = clock
        self._proposals = proposals
        self._seen: OrderedDict[tuple[str, str, bool], float] = OrderedDict()
        self._ties: OrderedDict[str, _Tie] = OrderedDict()
        self._swept = -float(REFRESH_SECONDS)

    async def place(self, signs: Signs, principal: Principal) -> SessionRef:
        """The run of an MCP message. A tool call is looked for among what models asked for.

        Raises:
            StoreError: the tables cannot be read.
        """
        found = correlate(signs, principal)
        if self._proposals is None:
            return found
        own = found.id
        if signs.transport and found.rank != TRANSPORT:
            own = session_id(principal.key_id, signs.transport)
        tie = await self._tie(own) if signs.transport else _Tie()
        if signs.call is None:
            return _also(_followed(found, tie), found.id, own)
        match = await self._proposals.find(
            signs.call,
            principal.key_id,
            asserted=found.id if found.rank < TOOL_CALL else "",
            bound="" if tie.several else tie.run,
        )
        placed = _placed(found, match, tie)
        if signs.transport and placed.verified and len(match.runs) == 1:
            await self._bind(own, tie, placed.id)
        return _also(placed, found.id, own)

    async def place_model_call(self, signs: Signs, principal: Principal, exchange_id: str) -> SessionRef:
        """The run of a model call. One that names none is known by the answers in its history, or begins a run.

        Raises:
            StoreError: the tables cannot be read.
        """
        found = correlate(signs, principal)
        if found.rank != KEY or not signs.body.get("tools"):
            return found  # without tools it is no agent's, and there is nothing to join
        history = answered(signs.body)
        run = await self._proposals.run_of(history, principal.key_id) if self._proposals and history else ""
        if run:
            also = () if run == found.id else (found.id,)
            return replace(found, id=run, evidence=EVIDENCE[TOOL_CALL], rank=TOOL_CALL, source="history", also=also)
        return replace(
            found,
            id=session_id(principal.key_id, exchange_id),
            evidence=EVIDENCE[CONVERSATION],
            rank=CONVERSATION,
            source=f"conversation={exchange_id}",
            also=(found.id,),
        )

    async def _tie(self, own: str) -> _Tie:
        """What is known of a transport, by its own session id. A tie outlives the process that made it."""
        tie = self._ties.get(own)
        if tie is None:
            row = await self._store.get(own)
            tie = self._ties.setdefault(own, _Tie(row.joined_id if row else ""))
            if len(self._ties) > REMEMBERED:
                self._ties.popitem(last=False)
        self._ties.move_to_end(own)
        return tie

    async def _bind(self, own: str, tie: _Tie, run: str) -> None:
        if tie.several or tie.run == run:
            return
        tie.several = bool(tie.run)
        tie.run = "" if tie.several else run
        await self._store.join(own, tie.run)

    def sign(self, exchange: Exchange) -> Work[None] | None:
        """What to write along with this exchange's decision: nothing, if its run was noted a moment ago.

        A conversation that names itself in no way is noted once its model asks for a tool: until then there is
        nothing by which it could be found again.
        """
        return None if exchange.session.rank == CONVERSATION else self._noted(exchange)

    def proposed(self, exchange: Exchange, uses: Sequence[ToolUse]) -> Work[None]:
        """What to write when a model's answer asks for tools, before the bytes leave that complete the asking."""
        session, now = exchange.session, self._clock.now()
        rows = [
            Proposal(
                seq=0,
                at=rfc3339(now),
                key_id=exchange.principal.key_id,
                run=session.id,
                exchange=exchange.id,
                call_id=use.id if is_call_id(use.id) else "",
                name=use.name,
                arguments=use.arguments,
                subagent=session.subagent,
            )
            for use in uses[:MOST_PROPOSED]
            if use.name and len(use.name) <= NAME_CHARACTERS and use.name.isprintable()
        ]
        noted = self._noted(exchange)
        if self._proposals is None or not rows:
            return together(noted)
        moment, forget = self._clock.monotonic(), ""
        if moment - self._swept >= REFRESH_SECONDS:
            self._swept, forget = moment, rfc3339(now - timedelta(minutes=KEPT_MINUTES))
        return together(noted, self._proposals.store.add(rows, forget))

    async def tell(self, exchange: Exchange, uses: Sequence[ToolUse]) -> None:
        """The same, written now: more of the answer is to come.

        Raises:
            StoreError: it is not written.
        """
        await self._store.write(self.proposed(exchange, uses))

    def _noted(self, exchange: Exchange) -> Work[None] | None:
        session, principal, now = exchange.session, exchange.principal, rfc3339(exchange.at)
        plane = jsontree.as_text(exchange.facts.get("plane"))
        key = (session.id, plane, session.verified)
        moment = self._clock.monotonic()
        last = self._seen.get(key)
        if last is not None and moment - last < REFRESH_SECONDS:
            return None
        self._seen[key] = moment
        self._seen.move_to_end(key)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
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
                verified=session.verified,
                parent_id=session.parent,
            )
        )


def _also(placed: SessionRef, *ids: str) -> SessionRef:
    """The run, with what it would be called without the evidence that placed it."""
    others = tuple(one for one in dict.fromkeys(ids) if one != placed.id)
    return replace(placed, also=others) if others else placed


def _followed(found: SessionRef, tie: _Tie) -> SessionRef:
    """The run of what names none itself: that of its transport."""
    if found.rank < TRANSPORT or not tie.run:
        return found
    return replace(found, id=tie.run, evidence=EVIDENCE[TOOL_CALL], rank=TOOL_CALL, verified=True)


def _placed(found: SessionRef, match: Match, tie: _Tie) -> SessionRef:
    """The run of a tool call, by what was found for it. Several runs that fit are no join."""
    if match.fit is Proposed.NONE:
        return replace(_followed(found, tie), proposed=match.fit)
    by = match.proposal
    if len(match.runs) != 1:
        ambiguous = ("tool_call=several",) if match.runs else ()
        found = replace(found, conflicts=found.conflicts + ambiguous) if ambiguous else _followed(found, tie)
    elif found.rank >= TOOL_CALL:
        found = replace(
            found, id=match.runs[0], evidence=EVIDENCE[TOOL_CALL], rank=TOOL_CALL, source=match.source, verified=True
        )
    elif match.runs[0] == found.id:
        found = replace(found, verified=True)
    else:
        found = replace(found, conflicts=(*found.conflicts, f"tool_call={match.runs[0]}"))
    return replace(
        found,
        proposed=match.fit,
        proposed_by=by.exchange if by else "",
        subagent=found.subagent or (by.subagent if by else ""),
    )
