"""Labels: what a run has come into contact with, so that rules can speak of it. They only grow.

Labels are set by what the configuration says of servers and tools, by what detectors find in results, and by rules of
the policy. What a call sets is durable before the call is forwarded, and what was found in its result before the last
byte of that leaves: whatever the agent does next is judged knowing of it, in both processes. Nobody takes a label away;
a person who approves a held call lets that one call through.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from governance import jsontree
from governance.clock import rfc3339
from governance.config.models import Config, Detect, McpServer
from governance.detect.actions import most_exact
from governance.exchange import Action, Exchange, Phase, Role, SessionRef
from governance.labels import OF_FINDINGS
from governance.store import Work
from governance.verdict import Decision, Finding, Verdict

REMEMBERED = 10_000
"""Runs whose labels are kept in memory; those of others are read again."""
MOST_CAUGHT_UP = 1_000
"""Labels set elsewhere that are read one by one; beyond it memory begins anew."""
NONE: frozenset[str] = frozenset()

_BRINGING = frozenset(
    {
        Action.TOOL_CALL,
        Action.RESOURCE_READ,
        Action.PROMPT_GET,
        Action.SAMPLING_CREATE,
        Action.ELICITATION_CREATE,
    }
)
"""What brings words of a server to the agent. What it says of itself, and its lists, are pinned instead."""


@dataclass(frozen=True, slots=True)
class Label:
    """A label of a run, as people see it."""

    label: str
    source: str
    """`server:NAME`, `tool:SERVER/GLOB`, `finding:KIND` or `rule:ID`."""
    exchange_id: str
    """The exchange that set it."""
    at: str
    """When, RFC 3339."""


class LabelStore(Protocol):
    """The table of labels. Each row has an epoch; the newest is the table's."""

    async def newest(self) -> int:
        """The newest epoch that was durable when this was called; 0 in an empty table."""
        ...

    async def since(self, epoch: int) -> tuple[int, list[tuple[str, str]]]:
        """The newest epoch, and run and label of each row that came after `epoch`: of one moment."""
        ...

    async def of(self, session_id: str) -> tuple[int, frozenset[str]]:
        """The newest epoch, and the labels of a run: of one moment."""
        ...

    async def listed(self, session_ids: Iterable[str]) -> dict[str, list[Label]]:
        """The labels of some runs, in the order in which they were set; a run without any is left out."""
        ...

    def add(self, session_id: str, labels: Iterable[Label]) -> Work[None]:
        """The work that adds labels to a run; one that it has stays as it is."""
        ...


@dataclass(frozen=True)
class Sources:
    """What the configuration says sets labels."""

    servers: Mapping[str, McpServer]
    detect: Detect

    @classmethod
    def of(cls, config: Config) -> "Sources":
        """Those of a whole configuration."""
        return cls(config.mcp_servers, config.detect)

    @property
    def all(self) -> frozenset[str]:
        """Every label that may be set this way."""
        lists = [*OF_FINDINGS.values(), *self.detect.labels.values()]
        for server in self.servers.values():
            lists += [server.labels, *server.tool_labels.values()]
        return frozenset(label for one in lists for label in one)

    def of_use(self, exchange: Exchange) -> tuple[str, tuple[str, ...]]:
        """What sets labels when something of a server is used, and the labels."""
        server = self.servers.get(exchange.resource.server)
        if server is None or exchange.action not in _BRINGING:
            return "", ()
        if server.tool_labels and exchange.action is Action.TOOL_CALL:
            glob = most_exact(server.tool_labels, exchange.resource.name)
            if glob is not None:
                return f"tool:{exchange.resource.server}/{glob}", server.tool_labels[glob]
        if jsontree.as_text(exchange.facts.get("method")).startswith("tasks/"):
            return "", ()  # of a call that has set its own
        return f"server:{exchange.resource.server}", server.labels

    def of_finding(self, kind: str) -> tuple[str, ...]:
        """The labels for something found."""
        for layer in (self.detect.labels, OF_FINDINGS):
            glob = most_exact(layer, kind)
            if glob is not None:
                return layer[glob]
        return ()


@dataclass(frozen=True, slots=True)
class Entry:
    """Labels that are to be written together with the event of the exchange that sets them."""

    session_id: str
    labels: tuple[Label, ...]
    work: Work[None]

    @property
    def told(self) -> list[str]:
        """Each with what set it, for the event."""
        return [f"{one.label}: {one.source}" for one in self.labels]


class Labels:
    """Knows what runs are labelled with, and what exchanges add. One for each process."""

    def __init__(self, store: LabelStore, sources: Sources) -> None:
        self.store = store
        self._sources = sources
        self._of_finding = lru_cache(maxsize=1024)(sources.of_finding)
        self._epoch = 0
        """How far `_known` is up to date: it has every label of its runs up to here."""
        self._known: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._written: OrderedDict[str, frozenset[str]] = OrderedDict()
        """What this process wrote, so that it is not written with every exchange again."""

    async def carried_by(self, session: SessionRef) -> frozenset[str]:
        """What a run is labelled with, under every name that it went by, and the run that started it.

        Raises:
            StoreError: as `of`.
        """
        labels = await self.of(session.id)
        for other in (*session.also, session.parent):
            if other:
                labels |= await self.of(other)
        return labels

    async def of(self, session_id: str) -> frozenset[str]:
        """What a run is labelled with, by all that was durable when this was called.

        Raises:
            StoreError: the labels cannot be read; nobody may go on as if there were none.
        """
        newest = await self.store.newest()
        if not newest:
            return NONE
        if newest > self._epoch:
            await self._catch_up(newest)
        known = self._known.get(session_id)
        if known is not None:
            self._known.move_to_end(session_id)
            return known
        epoch, labels = await self.store.of(session_id)
        if epoch >= self._epoch:  # else memory has gone on meanwhile, and would miss what came between
            _keep(self._known, session_id, labels)
        return labels

    async def _catch_up(self, newest: int) -> None:
        """Take in what was set since memory was up to date."""
        if not self._known or newest - self._epoch > MOST_CAUGHT_UP:
            self._known.clear()
            self._epoch = newest
            return
        epoch, rows = await self.store.since(self._epoch)
        for session_id, label in rows:
            known = self._known.get(session_id)
            if known is not None:
                self._known[session_id] = known | {label}
        self._epoch = max(self._epoch, epoch)

    def due(
        self,
        exchange: Exchange,
        phase: Phase,
        verdicts: Iterable[Verdict],
        findings: Iterable[Finding],
        *,
        goes_on: bool,
    ) -> Entry | None:
        """What this half of an exchange adds to its run, to be written with its event; None where nothing is new.

        Args:
            exchange: as it was judged.
            phase: which half.
            verdicts: what was said of this half.
            findings: what was found in this half.
            goes_on: whether it is forwarded, or reaches the agent. What was refused was not seen, but a rule that
                refuses may label the attempt.
        """
        sources: dict[str, str] = {}
        if goes_on and phase is Phase.REQUEST:
            source, labels = self._sources.of_use(exchange)
            sources = dict.fromkeys(labels, source)
        for one in findings:
            if goes_on and _seen(one):
                for label in self._of_finding(one.kind):
                    sources.setdefault(label, f"finding:{one.kind}")
        for verdict in verdicts:
            if verdict.labels and (goes_on or verdict.decision.strength >= Decision.DENY.strength):
                for label, rule in verdict.labels:
                    sources.setdefault(label, f"rule:{rule}")
        return self._entry(exchange, sources) if sources else None

    def _entry(self, exchange: Exchange, sources: Mapping[str, str]) -> Entry | None:
        session_id = exchange.session.id
        have = self._written.get(session_id, NONE) | self._known.get(session_id, NONE)
        names = [name for name in sources if name not in have]
        if not names:
            return None
        at = rfc3339(exchange.at)
        fresh = tuple(Label(name, sources[name], exchange.id, at) for name in sorted(names))
        return Entry(session_id, fresh, self.store.add(session_id, fresh))

    def wrote(self, entry: Entry) -> None:
        """Remember that an entry is durable."""
        have = self._written.get(entry.session_id, NONE)
        _keep(self._written, entry.session_id, have | {one.label for one in entry.labels})


def _keep(memory: OrderedDict[str, frozenset[str]], session_id: str, labels: frozenset[str]) -> None:
    memory[session_id] = labels
    memory.move_to_end(session_id)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)


def _seen(finding: Finding) -> bool:
    """Whether what was found in a result reached the agent.

    What was redacted did not. Of an attempt to give the model orders the rest did, and it is by the same hand.
    """
    return finding.role == Role.RESULT and (finding.action != "redact" or finding.kind.startswith("injection."))
