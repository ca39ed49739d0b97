"""What models asked for, so that a tool call can be found among it: the join of the two planes.

The gateway writes down each tool call of an answer before the bytes that complete it leave; the MCP proxy looks for
each call that comes. Both read the same table, in the order of commits, into a memory that is bounded and forgets after
an hour. A match joins records and is evidence; it never allows anything. Which run follows from one is `roll.py`.
"""

import re
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from governance import jsontree
from governance.clock import Clock, rfc3339
from governance.exchange import Proposed
from governance.jsontree import Json, MalformedError
from governance.store import Work
from sessions.correlate import Answered, Called, is_call_id

FINDINGS = {Proposed.NONE: "call.unproposed", Proposed.ALTERED: "call.altered"}
"""Kinds of findings about a tool call, so that rules can speak of them."""

KEPT_MINUTES = 60
"""How long a proposal may wait for its call: a person may have to agree in the agent first."""
MOST_OF_KEY = 2_000
MOST_KEYS = 2_000
MOST_HELD = 100_000
"""Of all keys together; those that were answered longest ago are forgotten first."""
MOST_READ = 20_000
"""Proposals that are read at once; a process that starts does not take up more."""
_MOST_COMPARED = 200
"""Proposals of a run among which one with other arguments is looked for."""

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_]")
_SHORTENED = 63
"""Length to which Gemini CLI and its kin shorten a name: its beginning, three `_`, and its last 32 characters."""
_SHORTENED_HEAD = 28


@dataclass(frozen=True, slots=True)
class Proposal:
    """A tool call that a model asked for."""

    seq: int
    at: str
    """RFC 3339, as the table has it."""
    key_id: str
    run: str
    exchange: str
    call_id: str
    """What the provider called it; empty = nothing that could be only its own."""
    name: str
    arguments: str
    """`jsontree.digest`; empty = no JSON."""
    subagent: str


@dataclass(frozen=True, slots=True)
class Match:
    """What was found for one call."""

    fit: Proposed
    runs: tuple[str, ...] = ()
    """The runs whose model may have meant this call: one is certain, several are ambiguous."""
    proposal: Proposal | None = None
    """The very one, where it is certain."""
    source: str = ""
    """By what it was found."""


class ProposalStore(Protocol):
    """The table of proposals."""

    async def last(self) -> int:
        """The highest `seq`, as of now; 0 where there is none. Asked for every tool call, so it must be cheap."""
        ...

    async def after(self, seq: int, at: str, limit: int) -> list[Proposal]:
        """The newest proposals with a higher `seq` that were made since `at`, oldest first."""
        ...

    def add(self, proposals: Sequence[Proposal], forget_before: str) -> Work[None]:
        """The work that writes proposals, whose `seq` it gives itself, and drops those made before a moment."""
        ...


@dataclass
class _OfKey:
    """What models answered to one key."""

    all: deque[Proposal] = field(default_factory=deque[Proposal])
    by_id: dict[str, Proposal] = field(default_factory=dict[str, Proposal])
    by_arguments: defaultdict[str, list[Proposal]] = field(
        default_factory=lambda: defaultdict[str, list[Proposal]](list)
    )
    shared: set[str] = field(default_factory=set[str])
    """Ids that were given twice, and so tell nothing."""
    used: set[int] = field(default_factory=set[int])
    """Proposals whose call came."""
    tips: dict[str, str] = field(default_factory=dict[str, str])
    """The model call of each run that asked for tools last."""

    def take(self, proposal: Proposal) -> None:
        """Remember one more."""
        self.all.append(proposal)
        self.tips[proposal.run] = proposal.exchange
        self.by_arguments[proposal.arguments].append(proposal)
        if proposal.call_id:
            if proposal.call_id in self.by_id:
                self.shared.add(proposal.call_id)
            self.by_id[proposal.call_id] = proposal
        if len(self.all) > MOST_OF_KEY:
            self.drop()

    def drop(self) -> None:
        """Forget the oldest."""
        oldest = self.all.popleft()
        same = self.by_arguments[oldest.arguments]
        same.remove(oldest)
        if not same:
            del self.by_arguments[oldest.arguments]
        if self.by_id.get(oldest.call_id) is oldest:
            del self.by_id[oldest.call_id]
            self.shared.discard(oldest.call_id)
        self.used.discard(oldest.seq)
        if self.tips.get(oldest.run) == oldest.exchange and not (self.all and self.all[0].exchange == oldest.exchange):
            del self.tips[oldest.run]

    def first(self, ids: Sequence[str]) -> Proposal | None:
        """The proposal of the first of these ids that is known."""
        return next((one for call_id in ids if (one := self.named(call_id))), None)

    def named(self, call_id: str) -> Proposal | None:
        """The proposal that alone has this id."""
        return None if call_id in self.shared else self.by_id.get(call_id)


class Proposals:
    """Finds tool calls among what models asked for.

    Args:
        store: the table.
        clock: tells what is too old.
        servers: names of the MCP servers in the configuration.
        listed: whether a server listed a tool of that name.
    """

    def __init__(
        self, store: ProposalStore, clock: Clock, servers: Collection[str], listed: Callable[[str, str], bool]
    ) -> None:
        self.store = store
        self._clock = clock
        self._servers = {plain(one) for one in servers}
        self._listed = listed
        self._keys: OrderedDict[str, _OfKey] = OrderedDict()
        self._seen = 0

    async def find(self, call: Called, key_id: str, *, asserted: str = "", bound: str = "") -> Match:
        """The proposal that a call of a key follows.

        Args:
            call: the call.
            key_id: whose it is; nothing of another key is looked at.
            asserted: the run that the client says it belongs to; empty = it says nothing.
            bound: the run that its transport belongs to, as far as is known.

        Raises:
            StoreError: the table cannot be read.
        """
        known = self._of(key_id)
        match = self._by_id(known, call) if known else None
        if match is None and await self._refresh():
            known = self._of(key_id)
            match = self._by_id(known, call) if known else None
        if known is None:
            return Match(Proposed.NONE)
        match = match or self._by_content(known, call, asserted, bound) or self._altered(known, call, asserted or bound)
        if match.proposal is not None:
            known.used.add(match.proposal.seq)
        return match

    async def run_of(self, history: Sequence[Answered], key_id: str) -> str:
        """The run whose model was answered last with what stands last in a history; empty = none, or several.

        Args:
            history: the tool calls in it, the newest first.
            key_id: whose it is.

        Raises:
            StoreError: the table cannot be read.
        """
        ids = [one.id for one in history if is_call_id(one.id)]
        known = self._of(key_id)
        if ids and known and (found := known.first(ids)):
            return found.run
        await self._refresh()
        known = self._of(key_id)
        if known is None:
            return ""
        if ids and (found := known.first(ids)):
            return found.run
        newest = history[0]
        same = known.by_arguments.get(_digest(newest.arguments), ())
        # Its own run is always among them, so that a single one is the right one.
        runs = {one.run for one in same if one.name == newest.name and known.tips.get(one.run) == one.exchange}
        return runs.pop() if len(runs) == 1 else ""

    @property
    def held(self) -> int:
        """How many proposals are remembered: what the bounds are about."""
        return sum(len(known.all) for known in self._keys.values())

    def _of(self, key_id: str) -> _OfKey | None:
        known = self._keys.get(key_id)
        if known is None:
            return None
        horizon = self._horizon()
        while known.all and known.all[0].at < horizon:
            known.drop()
        if not known.all:
            del self._keys[key_id]
            return None
        return known

    async def _refresh(self) -> bool:
        """Take up what was written meanwhile, by whatever process; whether there was anything."""
        if await self.store.last() <= self._seen:
            return False
        fresh = await self.store.after(self._seen, self._horizon(), MOST_READ)
        for one in fresh:
            if one.seq > self._seen:  # another call may have taken it up while this one waited
                self._seen = one.seq
                self._keys.setdefault(one.key_id, _OfKey()).take(one)
                self._keys.move_to_end(one.key_id)
        while len(self._keys) > 1 and (len(self._keys) > MOST_KEYS or self.held > MOST_HELD):
            self._keys.popitem(last=False)
        return True

    def _horizon(self) -> str:
        return rfc3339(self._clock.now() - timedelta(minutes=KEPT_MINUTES))

    def _by_id(self, known: _OfKey, call: Called) -> Match | None:
        for call_id in call.ids:
            one = known.named(call_id)
            if one is not None and self._means(one.name, call):
                fit = Proposed.EXACT if one.arguments == jsontree.digest(call.arguments) else Proposed.ALTERED
                return Match(fit, (one.run,), one, f"tool_call_id={call_id}")
        return None

    def _by_content(self, known: _OfKey, call: Called, asserted: str, bound: str) -> Match | None:
        same = known.by_arguments.get(jsontree.digest(call.arguments), ())
        fitting = [one for one in same if self._means(one.name, call)]
        if not fitting:
            return None
        fresh = [one for one in fitting if one.seq not in known.used] or fitting
        runs = {one.run for one in fresh}
        every = {one.run for one in fitting}
        if asserted in every:
            runs = {asserted}
        elif bound in runs:
            runs = {bound}
        elif bound in every:
            runs.add(bound)  # a call made again in its run, or the first of another run: nobody can tell
        if len(runs) > 1:
            return Match(Proposed.EXACT, tuple(sorted(runs)))
        (run,) = runs
        one = next((one for one in fresh if one.run == run), None) or next(one for one in fitting if one.run == run)
        return Match(Proposed.EXACT, (run,), one, f"tool_call={one.exchange}")

    def _altered(self, known: _OfKey, call: Called, run: str) -> Match:
        """The newest proposal of the call's own run for the same tool that no call came for; else there is none."""
        if run:
            candidates = [one for one in known.all if one.run == run and one.seq not in known.used]
            for one in reversed(candidates[-_MOST_COMPARED:]):
                if self._means(one.name, call):
                    return Match(Proposed.ALTERED, (), one)
        return Match(Proposed.NONE)

    def _means(self, proposed: str, call: Called) -> bool:
        """Whether the name that a model used can mean the tool that is called.

        Agents put the server before the tool, in one way or another: `mcp__server__tool`, `mcp_server_tool`,
        `server_tool`. The server is called as the agent's own configuration has it, so only a name that is surely
        that of another server, or of another tool that the server listed, speaks against it.
        """
        name, tool = plain(proposed), plain(call.tool)
        if name == tool:
            return True
        if not tool or not name.endswith(f"_{tool}"):
            return _is_shortened(name, tool)
        prefix = name[: -len(tool) - 1]
        for place, char in enumerate(prefix):  # `x_web_search` means `web_search` where there is such a tool
            if char == "_" and self._listed(call.server, name[place + 1 :]):
                return False
        if self._listed(call.server, name):
            return False
        prefix = prefix.strip("_")
        named = [one for one in self._servers if prefix == one or prefix.endswith(f"_{one}")]
        return not named or max(named, key=len) == plain(call.server)


def plain(name: str) -> str:
    """A name in the alphabet that every model API takes."""
    return _NOT_PLAIN.sub("_", name)


def _digest(arguments: Json) -> str:
    """The digest of arguments in a history, where they may stand as a text; `none` where they are no JSON."""
    if isinstance(arguments, str):
        try:
            arguments = jsontree.parse((arguments or "{}").encode())
        except (MalformedError, UnicodeEncodeError):
            return "none"
    return jsontree.digest(jsontree.as_object(arguments))


def _is_shortened(name: str, tool: str) -> bool:
    """Whether a name is what is left of a longer one that ends with the tool."""
    if len(name) != _SHORTENED or name[_SHORTENED_HEAD : _SHORTENED_HEAD + 3] != "___":
        return False
    tail = name[_SHORTENED_HEAD + 3 :]
    return tool.endswith(tail) or tail.endswith(f"_{tool}")
