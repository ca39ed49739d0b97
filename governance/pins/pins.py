"""Pins as the proxies use them: a listing is compared with what is trusted, and what differs is kept from the agent.

The table is the truth, and what is known of it is at most `FRESH_SECONDS` old on the way of a call, and not old at all
where a listing is compared. What cannot be read raises, and so refuses. What people decide is `reviews.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from governance import jsontree
from governance.clock import Clock, rfc3339
from governance.jsontree import Json
from governance.pins.pin import MAX_DEFINITION, MAX_NAME, Change, Key, Kind, MovedError, Pin, PinStore, State, draft
from governance.pins.plan import Known, Plan, Rules
from governance.verdict import ALLOWED, Decision, Verdict

BY = "pins"
"""Name of the check in verdicts."""
FRESH_SECONDS = 0.2
"""How old what a call goes by may be: a decision made in another process counts after this long at most."""
ATTEMPTS = 8
"""How often a listing may meet a pin that somebody else changes at the same moment."""
BATCH = 200
"""Most pins of one transaction: others wait for the writer meanwhile."""

TOLD: Mapping[str, str] = {
    "pin.drift": "it changed since it was trusted",
    "pin.new": "it is new on this server and nobody approved it yet",
    "pin.confusable": "its name can be taken for another tool's",
    "pin.collision": "a tool of another server has the same name",
    "pin.finding": "something suspicious was found in its definition",
    "pin.rejected": "a person rejected it",
}
"""Every rule by which a pin waits, and what an agent is told. A person is told which other tool it is."""


class PinsError(Exception):
    """Pins could not be brought up to date: whoever asked must refuse. The message is ours."""


@dataclass(eq=False)
class Pins:
    """What every server says of itself, held to what is trusted.

    Args:
        store: the table of pins.
        clock: says when, and how old what is known is.
        rules: what is trusted where.
        link: the page on which a person decides about a pin, by its id.
    """

    store: PinStore
    clock: Clock
    rules: Rules
    link: Callable[[str], str]
    _known: Known = field(default_factory=Known, init=False, repr=False)
    _version: int | None = field(default=None, init=False)
    _read_at: float = field(default=-1.0, init=False)

    def pinned(self, server: str) -> bool:
        """Whether anything of this server is pinned at all."""
        return self.rules.mode(server) != "off"

    async def learn(self, server: str, kind: Kind, given: Mapping[str, Json], *, complete: bool = False) -> set[str]:
        """Compare what a server gives with what is trusted, and note what differs.

        Args:
            server: the server's name.
            kind: what it gives.
            given: each definition as received, by its name.
            complete: whether a listing ends with this.

        Returns:
            The names that must not be shown.

        Raises:
            StoreError, AuditError, PinsError: it cannot be told; nothing may be shown.
        """
        if not self.pinned(server):
            return set()
        digests = {name: jsontree.digest(value) for name, value in given.items() if _can_be_kept(name, kind, value)}
        for _ in range(ATTEMPTS):
            await self._look(now=True)
            plan = Plan(self.rules, self._known, server, kind, rfc3339(self.clock.now()))
            for name, digest in digests.items():
                plan.consider(name, digest, given[name])
            if complete and kind is Kind.TOOL:
                plan.seal(digests)
            if not plan.changes:
                return {name for name in given if not self._shown((server, kind.value, name), digests.get(name))}
            await self._record(plan)
        raise PinsError(f"what server `{server}` lists is changed again and again")

    async def wants_listing(self, server: str, kind: Kind, name: str, definition: str) -> bool:
        """Whether the server must be asked what it lists before this can be judged.

        Args:
            server: the server's name.
            kind: what is used.
            name: its name.
            definition: digest of what this process was given last; empty where it was given nothing, or keeps none.
        """
        if not self.pinned(server):
            return False
        await self._look()
        pin = self._known.pins.get((server, kind.value, name))
        return pin is None or (kind is Kind.TOOL and pin.live != definition)

    async def standing(self, server: str, kind: Kind, name: str, definition: str) -> Verdict:
        """Whether what is used is what is trusted; the arguments are those of `wants_listing`.

        Raises:
            StoreError: it cannot be told; whoever asks must refuse.
        """
        if self.pinned(server):
            await self._look()
        return self.known(server, kind, name, definition)

    @property
    def is_fresh(self) -> bool:
        """Whether the table was looked at a moment ago, so that `known` tells what `standing` would."""
        return 0 <= self.clock.monotonic() - self._read_at < FRESH_SECONDS

    def known(self, server: str, kind: Kind, name: str, definition: str) -> Verdict:
        """What `standing` tells, by what the table held when it was looked at last."""
        if not self.pinned(server):
            return ALLOWED
        pin = self._known.pins.get((server, kind.value, name))
        if pin is None:
            reason = f"the server lists no such {kind.value}: list again, and use what is listed"
            return Verdict(Decision.DENY, by=BY, rule="pin.unlisted", reason=reason)
        if not self.rules.trusts(pin):
            return self._refusal(pin)
        if kind is Kind.TOOL and pin.digest != definition:
            reason = "this tool is not defined as it was when it was trusted: list the tools again"
            return Verdict(Decision.DENY, by=BY, rule="pin.drift", reason=reason)
        return ALLOWED

    # -- within -----------------------------------------------------------------------------------------------------

    def _shown(self, key: Key, digest: str | None) -> bool:
        pin = self._known.pins.get(key)
        return pin is not None and pin.digest == digest and self.rules.trusts(pin)

    def _refusal(self, pin: Pin) -> Verdict:
        rule = "pin.rejected" if pin.state is State.REJECTED else pin.rule or "pin.new"
        where = f". A person decides at {self.link(pin.id)}" if pin.state is State.PENDING else ""
        reason = f"this {pin.kind.value} cannot be used: {TOLD[rule]}{where}"
        return Verdict(Decision.DENY, by=BY, rule=rule, reason=reason)

    async def _record(self, plan: Plan) -> None:
        """Write what a listing changes; what somebody else changed meanwhile is left for the next look."""
        for tag, changes in plan.changes.items():
            by_rule: dict[str, list[Change]] = {}
            for change in changes:
                by_rule.setdefault(change.after.rule, []).append(change)
            try:
                for group in by_rule.values():
                    for start in range(0, len(group), BATCH):
                        batch = group[start : start + BATCH]
                        told = [change.after for change in batch if change.after.kind is not Kind.SET]
                        await self.store.record(batch, draft(tag, told or [change.after for change in batch]))
            except MovedError:
                return

    async def _look(self, *, now: bool = False) -> None:
        """Know what the table holds, as of at most `FRESH_SECONDS` ago; with `now`, as of this moment."""
        if not now and self.is_fresh:
            return
        moment = self.clock.monotonic()
        version = await self.store.version()
        if version != self._version:
            self._known = Known.of(await self.store.all())
            self._version = version
        self._read_at = moment


def _can_be_kept(name: str, kind: Kind, value: Json) -> bool:
    """Whether something can be kept, and be shown to and named by a person."""
    nameable = kind is Kind.INSTRUCTIONS or (0 < len(name) <= MAX_NAME and name.isprintable())
    return nameable and len(jsontree.dump(value)) <= MAX_DEFINITION
