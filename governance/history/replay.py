"""What a changed policy would have decided about real traffic: every exchange of a time, judged by the draft.

It reads the log in pages and keeps sums, so that the length of the log does not matter. What cannot be judged is
counted with the reason, and never guessed. Sessions are as they were: what the draft would label, count or refuse on
the way does not change what came after.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from governance.audit import query
from governance.audit.event import Value
from governance.audit.query import Wanted
from governance.history.recorded import DECIDED, Half, Kept, request_of, response_of
from governance.history.store import SqlShelf, SqlVersions
from governance.policy.engine import Policy
from governance.policy.load import PolicyError, compile_sources
from governance.policy.partial import weigh
from governance.store import Store
from governance.verdict import Decision

PAGE = 1_000
SLACK = 1_000
"""Events around a moment that may stand in another order than their times say."""
EXAMPLES = 5
MOST_TURNS = 2_000
"""Kinds of flips that are told apart: agents choose some of the names in them."""
OTHERS = "(others)"
MOST_SESSIONS = 10_000
"""Sessions of one kind of flip that are told apart."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which exchanges to judge: of a time, the newest of them, or those of a session."""

    since: str = ""
    """RFC 3339 in UTC; at or after."""
    until: str = ""
    """RFC 3339 in UTC; before."""
    last: int = 0
    """The newest so many; 0 = all."""
    session_id: str = ""


class Turn(NamedTuple):
    """A kind of flip."""

    before: str
    after: str
    rule_before: str
    """Rule that decided; empty where none spoke."""
    rule_after: str
    phase: str
    action: str
    server: str
    """Server, or provider."""
    name: str
    """Tool, or model."""


@dataclass(slots=True)
class Flips:
    """The exchanges of one kind of flip."""

    count: int = 0
    examples: list[str] = field(default_factory=list[str])
    """The newest exchanges, newest last."""
    sessions: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(slots=True)
class Report:
    """What came of it."""

    draft: str
    """Version of the draft."""
    exchanges: int = 0
    """All that were looked at."""
    same: int = 0
    """Halves that the draft decides as it was decided."""
    flips: dict[Turn, Flips] = field(default_factory=dict[Turn, Flips])
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Halves that cannot be judged, by rule (empty where it is not one rule's matter) and reason."""
    unknown_halves: int = 0
    unknown_examples: list[str] = field(default_factory=list[str])
    unasked: Counter[str] = field(default_factory=Counter[str])
    """Exchanges about which no rule was asked, by the reason."""
    versions: Counter[str] = field(default_factory=Counter[str])
    """Policies that judged, and how many halves each."""
    first_at: str = ""
    last_at: str = ""

    @property
    def flipped(self) -> int:
        """Halves that the draft decides otherwise."""
        return sum(one.count for one in self.flips.values())

    @property
    def judged(self) -> int:
        """Halves about which something can be said."""
        return self.same + self.flipped


class Replay:
    """Judges what was judged once by a draft."""

    def __init__(self, store: Store, draft: Policy) -> None:
        self._store = store
        self._shelf = SqlShelf(store)
        self._versions = SqlVersions(store)
        self._draft = draft
        self._old: dict[str, Policy | None] = {}
        self.report = Report(draft.version)

    async def run(self, span: Span, progress: Callable[[int], None] = lambda _done: None) -> Report:
        """Judge everything in a span; `progress` is told how many exchanges are done, page by page.

        Raises:
            StoreError: the database cannot be read.
        """
        tags = tuple(tag.value for tag in DECIDED)
        after, before = await self._bounds(span, tags)
        wanted = Wanted(event_types=tags, session_id=span.session_id, before=before, limit=PAGE)
        while True:
            page = await query.find(self._store, replace(wanted, after=after))
            if not page:
                return self.report
            after = page[-1].seq
            events = [fields for fields in (record.fields for record in page) if _within(fields, span)]
            kept = await self._shelf.judgements([str(one.get("exchange_id")) for one in events])
            for fields in events:
                await self._exchange(fields, kept)
            progress(self.report.exchanges)

    async def _bounds(self, span: Span, tags: tuple[str, ...]) -> tuple[int, int | None]:
        after, before = -1, None
        if span.since:
            first = await query.place_at(self._store, span.since)
            if first is None:
                return -1, 0
            after = max(after, first - 1 - SLACK)
        if span.until:
            end = await query.place_at(self._store, span.until)
            before = None if end is None else end + SLACK
        if span.last:
            first = await query.place_of_newest(self._store, tags, span.last, session_id=span.session_id)
            after = max(after, -1 if first is None else first - 1)
        return after, before

    async def _exchange(self, fields: dict[str, Value], kept: Kept) -> None:
        report, at = self.report, str(fields.get("at", ""))
        report.exchanges += 1
        report.first_at = min(report.first_at or at, at)
        report.last_at = max(report.last_at, at)
        request = request_of(fields, kept)
        await self._half(request)
        response = response_of(fields, kept)
        if response is not None:
            await self._half(response)
        elif self._draft.about_responses and not request.unasked and fields.get("event_type") == DECIDED[0].value:
            self._unknown(request, [("", "how its response was judged was not kept (`replay.keep`)")])

    async def _half(self, half: Half) -> None:
        report = self.report
        if half.unasked:
            report.unasked[half.why] += 1
            return
        if half.version:
            report.versions[half.version] += 1
        if half.exchange is None or (half.decision is None and not half.version):
            self._unknown(half, [("", half.why)])
            return
        before, rule = half.decision, half.rule
        old = await self._policy(half.version)
        if before is None and old is not None:
            then = weigh(old, half.exchange, half.phase, half.around, half.gaps)
            before, rule = then.decision, then.rule
        if before is None:
            self._unknown(half, [("", half.why)])
            return
        now = weigh(self._draft, half.exchange, half.phase, half.around, half.gaps)
        if now.decision is None:
            self._unknown(half, list(now.lacks))
        elif now.decision is before:
            report.same += 1
        elif old is not None and not self._reproduced(old, half, before):
            self._unknown(half, [("", "what is kept of it does not lead to what was decided then")])
        else:
            self._flip(half, before, rule, now.decision, now.rule)

    @staticmethod
    def _reproduced(old: Policy, half: Half, before: Decision) -> bool:
        """Whether the policy of then still says what it said: otherwise a flip would not be the draft's doing."""
        if half.exchange is None:
            return False
        again = weigh(old, half.exchange, half.phase, half.around, half.gaps).decision
        return again in (before, None)

    def _flip(self, half: Half, before: Decision, rule: str, after: Decision, rule_after: str) -> None:
        assert half.exchange is not None  # noqa: S101 - `_half` has seen to it
        resource = half.exchange.resource
        turn = Turn(
            before.value,
            after.value,
            rule,
            rule_after,
            half.phase.value,
            half.exchange.action.value,
            resource.server or resource.provider,
            resource.name or resource.model,
        )
        if turn not in self.report.flips and len(self.report.flips) >= MOST_TURNS:
            turn = turn._replace(name=OTHERS)
        flips = self.report.flips.setdefault(turn, Flips())
        flips.count += 1
        flips.examples = [*flips.examples, half.exchange_id][-EXAMPLES:]
        if half.session_id in flips.sessions or len(flips.sessions) < MOST_SESSIONS:
            flips.sessions[half.session_id] = flips.sessions.get(half.session_id, 0) + 1

    def _unknown(self, half: Half, lacks: list[tuple[str, str]]) -> None:
        self.report.unknown_halves += 1
        self.report.unknown.update(set(lacks) or {("", half.why)})
        self.report.unknown_examples = [*self.report.unknown_examples, half.exchange_id][-EXAMPLES:]

    async def _policy(self, version: str) -> Policy | None:
        """The policy of a version, if it is kept and can still be used."""
        if version and version not in self._old:
            found = [one for one in await self._versions.named(version) if one.version == version]
            try:
                self._old[version] = compile_sources(found[0].sources) if found else None
            except PolicyError:
                self._old[version] = None
        return self._old.get(version)


def _within(fields: dict[str, Value], span: Span) -> bool:
    at = str(fields.get("at", ""))
    return at >= span.since and (not span.until or at < span.until)
