"""Pins as people see them: what waits, what it differs in, and the decision.

A decision is about exactly one form of one definition: its id names the digest, so what changed meanwhile is not
decided by it. Nothing is judged here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from governance import jsontree
from governance.audit.event import Tag
from governance.clock import Clock, rfc3339
from governance.jsontree import Json
from governance.pins.pin import FIRST_USE, MANIFEST, Change, Kind, MovedError, Pin, PinStore, State, draft

REASON_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Decided:
    """How a decision went."""

    pin: Pin
    """The pin as it stands now."""
    made: bool
    """False: it stood so already, or changed at the same moment, and nothing was changed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One value of a definition that is not the same before and after."""

    path: str
    """JSON pointer (RFC 6901); empty = the whole definition."""
    before: str | None
    """The value as JSON, or the text itself; None where there was none."""
    after: str | None


@dataclass(frozen=True)
class Reviews:
    """The desk for pins."""

    store: PinStore
    clock: Clock

    async def pins(self, *, waiting: bool = False) -> list[Pin]:
        """Every pin but the sets, without definitions: what waits first, then by server, kind and name."""
        found = [pin for pin in await self.store.all() if pin.kind is not Kind.SET]
        if waiting:
            found = [pin for pin in found if pin.state is State.PENDING]
        return sorted(found, key=lambda pin: (_ORDER[pin.state], pin.key))

    async def get(self, pin_id: str) -> Pin | None:
        """The pin of a review, whole; None where there is none, or what was given has changed since."""
        found = next((pin for pin in await self.store.all() if pin.id == pin_id and pin.kind is not Kind.SET), None)
        pin = None if found is None else await self.store.get(found.key)
        # It may have changed between the two reads, and a decision is about what its id names.
        return pin if pin is not None and pin.id == pin_id else None

    async def approve(self, pin_id: str, *, by: str, reason: str = "") -> Decided | None:
        """Trust what was given; None if there is no such review."""
        pin = await self.get(pin_id)
        if pin is None:
            return None
        after = replace(
            pin, state=State.TRUSTED, digest=pin.live, definition=pin.live_definition, trusted_by=by,
            trusted_at=rfc3339(self.clock.now()), rule="", reason="",
        )  # fmt: skip
        settled = pin.state is State.TRUSTED and pin.trusted_by not in (FIRST_USE, MANIFEST)
        return await self._decide(pin, after, Tag.PIN_APPROVED, by, reason, settled=settled)

    async def reject(self, pin_id: str, *, by: str, reason: str = "") -> Decided | None:
        """Keep what was given from every agent, also if it was trusted; None if there is no such review."""
        pin = await self.get(pin_id)
        if pin is None:
            return None
        after = replace(pin, state=State.REJECTED, rule=pin.rule or "pin.rejected")
        if pin.digest == pin.live:
            after = replace(after, digest="", definition="", trusted_by="", trusted_at="")
        return await self._decide(pin, after, Tag.PIN_REJECTED, by, reason, settled=pin.state is State.REJECTED)

    async def version(self) -> int:
        """A number that changes whenever a list of pins would look different."""
        return await self.store.version()

    async def _decide(self, pin: Pin, after: Pin, tag: Tag, by: str, reason: str, *, settled: bool) -> Decided:
        if settled:
            return Decided(pin, made=False)
        words = _plain(reason)
        after = replace(after, decided_by=by, decision_reason=words)
        told = draft(tag, [replace(after, digest=pin.digest, rule=pin.rule)], actor=by, reason=words or None)
        try:
            await self.store.record([Change(pin, after)], told)
        except MovedError:
            return Decided(await self.store.get(pin.key) or pin, made=False)
        return Decided(after, made=True)


def page(base_url: str, pin_id: str) -> str:
    """The page of a review on the console at `base_url`."""
    return f"{base_url.rstrip('/')}/console/pins/{pin_id}"


_ORDER = {State.PENDING: 0, State.REJECTED: 1, State.TRUSTED: 2}


def differences(pin: Pin) -> Sequence[Difference]:
    """What a pin's trusted form and the form given last differ in; all of it where nothing is trusted."""
    after = dict(_leaves(_parsed(pin.live_definition)))
    before = dict(_leaves(_parsed(pin.definition))) if pin.definition else {}
    paths = [path for path in dict.fromkeys([*before, *after]) if before.get(path) != after.get(path)]
    return [_difference(path, before.get(path), after.get(path)) for path in paths]


def _difference(path: str, before: "_Leaf | None", after: "_Leaf | None") -> Difference:
    if before is not None and after is not None and before.text == after.text:
        # `true` and `"true"` are not the same, and must not look the same.
        return Difference(path, before.quoted(), after.quoted())
    return Difference(path, before and before.text, after and after.text)


class _Leaf(NamedTuple):
    """A value without members: a text as it is, anything else as JSON."""

    text: str
    is_text: bool

    def quoted(self) -> str:
        """As JSON, whatever it is."""
        return jsontree.dump(self.text).decode() if self.is_text else self.text


def _parsed(text: str) -> Json:
    return jsontree.parse(text.encode()) if text else None


def _leaves(value: Json) -> list[tuple[str, _Leaf]]:
    """Every leaf with its pointer."""
    found: list[tuple[str, _Leaf]] = []
    stack: list[tuple[str, Json]] = [("", value)]
    while stack:
        pointer, node = stack.pop()
        if isinstance(node, dict) and node:
            stack.extend((f"{pointer}/{jsontree.escape(name)}", child) for name, child in reversed(node.items()))
        elif isinstance(node, list) and node:
            stack.extend((f"{pointer}/{index}", child) for index, child in reversed(list(enumerate(node))))
        else:
            is_text = isinstance(node, str)
            found.append((pointer, _Leaf(node if is_text else jsontree.dump(node).decode(), is_text)))
    return found


def _plain(reason: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in reason).split())[:REASON_CHARACTERS]
