"""Notes what the policy was asked and what it said: how often each rule spoke, and, if wanted, what the rules saw.

Kept in memory and written by a task of its own every few seconds, so no exchange waits for it: this is for people who
want to change a policy, and never proof. What was decided, durably, is in the audit log. A process that is killed
loses the last seconds of it, and whoever reads it says so (`replay.py`).
"""

import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple, Protocol

import anyio

from governance import jsontree
from governance.clock import Clock, rfc3339
from governance.exchange import Exchange, Phase
from governance.history.scene import written
from governance.policy.condition import Around
from governance.verdict import Decision, Verdict

log = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0
PRUNE_SECONDS = 300.0
MOST_WAITING = 20_000
"""Judgements that wait to be written; beyond it the oldest are lost, and the log says so."""
BATCH = 500
"""Judgements of one transaction: others wait for it."""
COUNT_DAYS = 30
"""Days for which it is kept how often a rule spoke."""
EXAMPLES = 5
_HELD = 4_096
_LONGEST_TENANT = 200


class Spoke(NamedTuple):
    """That a rule spoke, in some way, in an hour."""

    hour: str
    """`2026-11-21T12`, UTC."""
    tenant: str
    rule: str
    part: str
    """`fitted` (it was about the exchange), `decided` (and no other was stronger), or `shadow`."""
    decision: str


@dataclass(slots=True)
class Tally:
    """How often, with the newest exchanges."""

    count: int = 0
    examples: deque[str] = field(default_factory=lambda: deque(maxlen=EXAMPLES))


class Judgement(NamedTuple):
    """What the policy was asked about one half of an exchange, as it is kept."""

    exchange_id: str
    phase: str
    at: str
    version: str
    decision: str
    rule: str
    scene: str


class Shelf(Protocol):
    """The tables behind it."""

    async def add(self, counts: Mapping[Spoke, Tally], judgements: Sequence[Judgement]) -> None:
        """Add what was noted."""
        ...

    async def prune(self, *, counts_before: str, judgements_before: str, most: int) -> int:
        """Delete what is older than a time, and all judgements but the newest `most`; returns how many went."""
        ...


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of each judgement."""

    facts: bool = False
    arguments: bool = False
    days: int = 7
    most: int = 200_000


class Ledger:
    """Notes judgements of one process. A `governance.policy.stage.Listener`."""

    def __init__(self, shelf: Shelf, clock: Clock, keeping: Keeping) -> None:
        self._shelf = shelf
        self._clock = clock
        self._keeping = keeping
        self._counts: dict[Spoke, Tally] = {}
        self._waiting: OrderedDict[tuple[str, str], Judgement] = OrderedDict()
        self._held: OrderedDict[tuple[str, Phase], None] = OrderedDict()
        """Held exchanges: they are judged again once a person approved, and count once."""
        self.lost: Counter[str] = Counter()
        """What could not be written, by what it was."""

    @property
    def labels(self) -> bool:
        """Whether the labels of the session are wanted of each exchange."""
        return self._keeping.facts

    def hear(
        self, exchange: Exchange, phase: Phase, verdict: Verdict, heard: Sequence[Verdict], around: Callable[[], Around]
    ) -> None:
        """Take note of one judgement."""
        # Most exchanges are about no rule: there is nothing to count, and they cannot have been held before.
        if (heard or verdict.rule or verdict.shadow) and not self._again(exchange, phase, verdict):
            self._count(exchange, verdict, heard)
        if self._keeping.facts:
            try:
                self._keep(exchange, phase, verdict, around())
            except Exception:
                self.lost["unwritable"] += 1
                log.exception("what the policy was asked about exchange %s is not kept", exchange.id)

    def _again(self, exchange: Exchange, phase: Phase, verdict: Verdict) -> bool:
        place = (exchange.id, phase)
        if place in self._held:
            del self._held[place]
            return True
        if verdict.decision is Decision.HOLD:
            self._held[place] = None
            if len(self._held) > _HELD:
                self._held.popitem(last=False)
        return False

    def _count(self, exchange: Exchange, verdict: Verdict, heard: Sequence[Verdict]) -> None:
        hour, tenant = rfc3339(self._clock.now())[:13], exchange.principal.tenant[:_LONGEST_TENANT]
        parts = [("fitted", one) for one in heard]
        if verdict.rule:
            parts.append(("decided", verdict))
        parts += [("shadow", one) for one in verdict.shadow]
        for part, one in parts:
            tally = self._counts.setdefault(Spoke(hour, tenant, one.rule, part, one.decision.value), Tally())
            tally.count += 1
            if part != "fitted":
                tally.examples.append(exchange.id)

    def _keep(self, exchange: Exchange, phase: Phase, verdict: Verdict, around: Around) -> None:
        scene = written(exchange, phase, verdict, around, arguments=self._keeping.arguments)
        text = jsontree.dump(scene).decode()
        self._waiting[exchange.id, phase.value] = Judgement(
            exchange.id, phase.value, rfc3339(around.now), verdict.version, verdict.decision.value, verdict.rule, text
        )
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)
            self.lost["overflow"] += 1

    async def run(self) -> None:
        """Write what was noted, and delete what is too old, for as long as the caller's task lives."""
        pruned = float("-inf")
        while True:
            await anyio.sleep(FLUSH_SECONDS)
            await self.flush()
            if self._clock.monotonic() - pruned >= PRUNE_SECONDS:
                pruned = self._clock.monotonic()
                await self.prune()

    async def flush(self) -> None:
        """Write what was noted. What cannot be written now is tried again."""
        while self._counts or self._waiting:
            counts, self._counts = self._counts, {}
            batch = [self._waiting.popitem(last=False)[1] for _ in range(min(BATCH, len(self._waiting)))]
            try:
                await self._shelf.add(counts, batch)
            except Exception:
                log.exception("how often rules spoke could not be written; it is tried again")
                self._put_back(counts, batch)
                return

    async def prune(self) -> None:
        """Delete what is too old, or too much."""
        now, keeping = self._clock.now(), self._keeping
        try:
            await self._shelf.prune(
                counts_before=rfc3339(now - timedelta(days=COUNT_DAYS))[:13],
                judgements_before=rfc3339(now - timedelta(days=keeping.days)),
                most=keeping.most,
            )
        except Exception:
            log.exception("what is too old of the judgements could not be deleted; it is tried again")

    def _put_back(self, counts: Mapping[Spoke, Tally], batch: Sequence[Judgement]) -> None:
        for spoke, tally in counts.items():
            have = self._counts.setdefault(spoke, Tally())
            have.count += tally.count
            have.examples.extendleft(reversed(list(tally.examples)[: EXAMPLES - len(have.examples)]))
        for one in reversed(batch):
            self._waiting.setdefault((one.exchange_id, one.phase), one)
            self._waiting.move_to_end((one.exchange_id, one.phase), last=False)
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)
            self.lost["overflow"] += 1
