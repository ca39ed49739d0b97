"""Events that others can cause as often as they like: written one by one up to a rate, and counted beyond it.

Strangers without a key can, and servers that send messages in which something is found. Each event is a durable write.
Without a bound, whoever reaches a port could fill the disk and slow down everybody else. Those that were not written
one by one stand as a number in an event within a second, and when a process ends; a process that is killed outright
takes the number of its last second with it.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import anyio

from governance.audit.event import AuditError, AuditLog, Draft, Receipt, Tag, Value
from governance.clock import Clock
from governance.store.work import Work

log = logging.getLogger(__name__)

PER_SECOND = 20
BURST = 100
TOLD_SECONDS = 1.0
"""How soon a number is written when nothing else comes."""
NOTHING: Mapping[str, Value] = MappingProxyType({})
UNWRITTEN = Receipt(-1, "")
"""What stands for the receipt of an event that was only counted."""


class Bounded:
    """An audit log for such events. It passes on what the rate allows.

    Args:
        audit: where they are written.
        clock: what the rate goes by.
        about: fields of the events that tell a number.
    """

    def __init__(self, audit: AuditLog, clock: Clock, about: Mapping[str, Value] = NOTHING) -> None:
        self._audit = audit
        self._about = about
        self._clock = clock
        self._left = float(BURST)
        self._filled = clock.monotonic()
        self._omitted: Counter[Tag] = Counter()

    async def append(self, draft: Draft, within: Work[Any] | None = None) -> Receipt:
        """Make an event durable, or count it where too many came.

        Raises:
            AuditError: as `AuditLog.append`.
        """
        now = self._clock.monotonic()
        self._left, self._filled = min(BURST, self._left + (now - self._filled) * PER_SECOND), now
        if self._left < 1:
            self._omitted[draft.tag] += 1
            return UNWRITTEN
        self._left -= 1
        return await self._audit.append(draft, within)

    async def watch(self) -> None:
        """Write down now and then how many were only counted. Never returns."""
        while True:
            await anyio.sleep(TOLD_SECONDS)
            await self.tell()

    async def tell(self) -> None:
        """Write down how many of each kind were only counted since the last time."""
        for tag in [*self._omitted]:
            count = self._omitted.pop(tag)
            try:
                await self._audit.append(Draft(tag, {**self._about, "code": "flood", "count": count}))
            except AuditError as error:
                self._omitted[tag] += count
                log.error("%d events are not in the audit log yet: %s", count, error)  # noqa: TRY400


class BoundedByKey:
    """As `Bounded`, with a rate of its own for each key: nobody's flood hides what another did."""

    def __init__(self, audit: AuditLog, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._of_key: dict[Value, Bounded] = {}

    async def append(self, draft: Draft, within: Work[Any] | None = None) -> Receipt:
        """Make an event durable, or count it where too many came of its key.

        Raises:
            AuditError: as `AuditLog.append`.
        """
        key = draft.fields.get("key_id")
        bounded = self._of_key.get(key)
        if bounded is None:
            about = {name: draft.fields[name] for name in ("tenant_id", "key_id") if name in draft.fields}
            bounded = self._of_key[key] = Bounded(self._audit, self._clock, about)
        return await bounded.append(draft, within)

    async def watch(self) -> None:
        """Write down now and then how many were only counted. Never returns."""
        while True:
            await anyio.sleep(TOLD_SECONDS)
            await self.tell()

    async def tell(self) -> None:
        """Write down how many of each key and kind were only counted since the last time."""
        for bounded in [*self._of_key.values()]:
            await bounded.tell()
