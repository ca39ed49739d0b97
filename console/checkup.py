"""Verifies the whole log for somebody who asked for it on the console, slowly, while the proxies go on.

What was found out is written into the log; there is no other record. A verification that does not come to its end
says nothing.
"""

import logging
import threading
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from anyio import to_thread

from governance.audit.event import AuditError, AuditLog
from governance.audit.sources import verify_slowly
from governance.audit.verified import draft_of
from governance.clock import Clock
from governance.store import StoreError

log = logging.getLogger(__name__)

SHARE = 0.25
"""Of one core it takes no more than this: the proxy in the same process has the rest."""


class _StoppedError(Exception):
    """The process ends."""


@dataclass(frozen=True, slots=True)
class Running:
    """A verification that is under way."""

    by: str
    began: datetime
    checked: int
    of: int


class Checkup:
    """One verification at a time.

    Args:
        url: address of the database.
        key: the key of the seals.
        audit: where it is written down what was found out.
        clock: tells how long a part took.
    """

    def __init__(self, url: str, key: bytes, audit: AuditLog, clock: Clock) -> None:
        self._url = url
        self._key = key
        self._audit = audit
        self._clock = clock
        self.running: Running | None = None
        self._stop = threading.Event()
        self._moment = 0.0

    async def run(self, by: str) -> None:
        """Verify every event and write down what came of it; nothing if that is being done already."""
        if self.running is not None:
            return
        began = self._clock.now()
        self.running = Running(by, began, 0, 0)
        self._stop.clear()
        self._moment = started = self._clock.monotonic()
        try:
            work = partial(verify_slowly, self._url, key=self._key, rest=self._rest)
            report = await to_thread.run_sync(work, abandon_on_cancel=True)
            took = round((self._clock.monotonic() - started) * 1000)
            await self._audit.append(draft_of(report, actor=by, milliseconds=took))
        except (StoreError, AuditError) as error:
            log.error("the log could not be verified, or that not be written down: %s", error)  # noqa: TRY400
        finally:
            self._stop.set()
            self.running = None

    def _rest(self, checked: int, of: int) -> None:
        """Let others go on for a while. Called in the thread that verifies, after each part."""
        now = self._clock.monotonic()
        if self.running is not None:
            self.running = Running(self.running.by, self.running.began, checked, of)
        if self._stop.wait(min(1.0, max(0.0, now - self._moment) * (1 / SHARE - 1))):
            raise _StoppedError
        self._moment = self._clock.monotonic()
