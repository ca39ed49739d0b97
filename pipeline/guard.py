"""The guard: the one path that every exchange takes, whichever proxy it came through.

It redacts, holds, denies, kills, records and lets through; stages only say what they think.
"""

import logging
from collections.abc import Awaitable, Callable
from types import TracebackType

from approvals.attendance import UNATTENDED, Attendance
from governance.audit.event import AuditError, Tag
from governance.audit.flood import BoundedByKey
from governance.exchange import Body, Exchange, Phase
from governance.stage import Outcome, RefusedError
from governance.verdict import Verdict
from pipeline import record
from pipeline.inspection import Inspector
from pipeline.organs import Organs
from pipeline.passage import Passage

log = logging.getLogger(__name__)


class Guard:
    """The one path that every exchange takes."""

    def __init__(self, organs: Organs) -> None:
        self._organs = organs
        self.stages = organs.stages
        self.notes = BoundedByKey(organs.audit, organs.clock)
        """Where it is written down what was found in messages that are no exchange. Whoever made the guard runs it."""
        self._inspector = Inspector(organs.stages, self.notes, organs.kills, organs.labels, organs.audit)

    def passage(self, exchange: Exchange, attendance: Attendance = UNATTENDED) -> "Gangway":
        """The way of one exchange, as an async context: judged on entry, settled on exit, cut when its run is killed.

        Args:
            exchange: what is to be judged.
            attendance: how long the caller may wait for a person, and what is done for it meanwhile.

        Raises:
            RefusedError: on entry or exit: the exchange must not be forwarded, or must not go on; it is recorded.
        """
        return Gangway(self._organs, exchange, attendance)

    async def govern(self, exchange: Exchange, forward: Callable[[Exchange], Awaitable[Body]]) -> Exchange:
        """Judge, forward and judge the answer of an exchange whose answer is one body.

        Raises:
            RefusedError: request or response was refused.
        """
        async with self.passage(exchange) as passage:
            answered = await passage.respond(await forward(passage.exchange))
            await passage.settle(Outcome("ok"))
            return answered

    async def inspect(self, exchange: Exchange, phase: Phase) -> Exchange:
        """Judge a message that is no exchange of its own; returns it as it may go on (`pipeline/inspection.py`).

        Raises:
            RefusedError: it must not go on.
        """
        return await self._inspector.inspect(exchange, phase)

    async def note_refused(self, exchange: Exchange, verdict: Verdict) -> None:
        """Record an exchange that is refused before any check was asked. A log that fails does not let it through."""
        try:
            await self._organs.audit.append(
                record.decision(Tag.EXCHANGE_REFUSED, exchange, verdict), self._organs.roll.sign(exchange)
            )
        except AuditError as error:
            log.error("the refusal of exchange %s is not recorded: %s", exchange.id, error)  # noqa: TRY400

    def may_see(self, exchange: Exchange) -> bool:
        """Whether the principal should see what this exchange would call, for filtering lists. A broken rule hides."""
        try:
            return self._organs.sight.visible(exchange)
        except Exception:
            log.exception("visibility could not be judged; the entry is hidden")
            return False


class Gangway:
    """The beginning and the end of one passage. A class, because every exchange comes through here twice."""

    def __init__(self, organs: Organs, exchange: Exchange, attendance: Attendance) -> None:
        self._passage = Passage(organs, exchange, attendance)
        resource = exchange.resource
        self._tracked = organs.kills.track(
            exchange.principal, exchange.session, self._passage.cut, server=resource.server or resource.provider
        )

    async def __aenter__(self) -> Passage:
        self._tracked.__enter__()
        self._passage.scope.__enter__()
        try:
            await self._passage.admit()
        except BaseException as error:
            await self._leave(error)
            raise
        return self._passage

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._leave(error)

    async def _leave(self, error: BaseException | None) -> None:
        """Settle, and end the scope. What a kill cancelled ends as its refusal.

        Raises:
            RefusedError: the run was killed.
        """
        passage, failure = self._passage, None
        try:
            await passage.leave(error)
        except BaseException as another:  # noqa: BLE001 - raised again below, after the scope has seen it
            error = failure = another
        kind, at = (None, None) if error is None else (type(error), error.__traceback__)
        taken_in = passage.scope.__exit__(kind, error, at)
        self._tracked.__exit__(None, None, None)
        killed = passage.cut_by
        if killed is not None and (taken_in or error is None or isinstance(error, Exception)):
            raise RefusedError(killed, passage.exchange.id) from None
        if failure is not None:
            raise failure
