"""The guard as this proxy uses it (`pipeline.guard.Guard`), and one exchange on its way through it."""

from contextlib import AbstractAsyncContextManager
from typing import NoReturn, Protocol

from approvals.desk import UNATTENDED, Attendance
from governance.exchange import Body, Exchange, Phase
from governance.stage import Outcome
from governance.verdict import Verdict


class Way(Protocol):
    """One exchange on its way through the guard (`pipeline.passage.Passage`)."""

    exchange: Exchange
    warnings: list[Verdict]

    async def respond(self, body: Body) -> Exchange:
        """Judge a whole response."""
        ...

    async def settle(self, outcome: Outcome) -> None:
        """Make the outcome durable."""
        ...

    def withhold(self, verdict: Verdict) -> NoReturn:
        """Refuse the response."""
        ...


class Gate(Protocol):
    """The guard, as this proxy uses it (`pipeline.guard.Guard`)."""

    def passage(self, exchange: Exchange, attendance: Attendance = UNATTENDED) -> AbstractAsyncContextManager[Way]:
        """The way of one exchange. `attendance` waits with its client while a person is asked."""
        ...

    async def inspect(self, exchange: Exchange, phase: Phase) -> Exchange:
        """Judge a message that is no exchange of its own."""
        ...

    async def note_refused(self, exchange: Exchange, verdict: Verdict) -> None:
        """Record an exchange that is refused before any check was asked."""
        ...

    def may_see(self, exchange: Exchange) -> bool:
        """Whether a listed tool should be seen."""
        ...
