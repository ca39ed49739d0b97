"""One channel of streamed text on its way out: what its guard lets through, or an end of the whole stream.

How text is judged as it comes is `stream.py`; this says what becomes of the exchange.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from governance.detect.stage import irreplaceable
from governance.verdict import Decision, Finding, Verdict
from pipeline.judge import broken
from pipeline.stream import StreamGuard

log = logging.getLogger(__name__)


class Ear(Protocol):
    """Listens to one channel (`sessions.loop_stage.Ear`)."""

    def feed(self, text: str) -> Verdict:
        """Take in more text; says whether the rest must not leave."""
        ...

    @property
    def noted(self) -> tuple[Verdict, ...]:
        """What should stand in the log."""
        ...


@dataclass(frozen=True, slots=True)
class Strand:
    """One channel of one exchange."""

    guard: StreamGuard
    exchange_id: str
    withhold: Callable[[Verdict], NoReturn]
    """Refuses the rest of the stream."""
    ear: Ear | None = None
    """Hears whether what comes repeats itself, where anybody listens."""

    def feed(self, text: str) -> str:
        """Take in more text; returns what may leave now.

        Raises:
            RefusedError: what was found must not leave.
        """
        out = self._checked(lambda: self.guard.feed(text))
        if self.ear is not None:
            self._heard(self.ear.feed(text))
        return out

    def close(self) -> str:
        """The channel ended; returns what was still held back.

        Raises:
            RefusedError: what was found must not leave.
        """
        return self._checked(self.guard.close)

    def stuck(self) -> NoReturn:
        """What was just found stands in a name or an id, where nothing can be replaced.

        Raises:
            RefusedError: always.
        """
        found = self.guard.findings
        self.withhold(irreplaceable(next(one for one in found if one.action == "redact"), found))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found in this channel."""
        return tuple(self.guard.findings)

    @property
    def noted(self) -> tuple[Verdict, ...]:
        """What should stand in the log of how this channel repeated itself."""
        return () if self.ear is None else self.ear.noted

    def _heard(self, verdict: Verdict) -> None:
        if verdict.decision.strength >= Decision.HOLD.strength:
            self.withhold(verdict)

    def _checked(self, step: Callable[[], str]) -> str:
        try:
            text = step()
        except Exception:
            log.exception("a stream could not be scanned, so exchange %s is cut", self.exchange_id)
            self.withhold(broken("detect"))
        verdict = self.guard.verdict
        if verdict.decision.strength >= Decision.HOLD.strength:
            self.withhold(verdict)
        return text
