"""The guard: the one path that every exchange takes, whichever proxy it came through.

It redacts, holds, denies, kills, records and lets through; stages only say what they think.
"""

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from approvals.desk import UNATTENDED, Attendance
from governance.exchange import Body, Exchange
from governance.stage import Outcome, RefusedError
from pipeline.passage import Organs, Passage

log = logging.getLogger(__name__)


class Guard:
    """The one path that every exchange takes."""

    def __init__(self, organs: Organs) -> None:
        self._organs = organs

    @contextlib.asynccontextmanager
    async def passage(self, exchange: Exchange, attendance: Attendance = UNATTENDED) -> AsyncGenerator["Passage"]:
        """The way of one exchange: judged on entry, settled on exit, cut when its run is killed.

        Args:
            exchange: what is to be judged.
            attendance: how long the caller may wait for a person, and what is done for it meanwhile.

        Raises:
            RefusedError: the exchange must not be forwarded, or must not go on; the refusal is recorded.
        """
        passage = Passage(self._organs, exchange, attendance)
        try:
            with self._organs.kills.track(exchange.principal, exchange.session, passage.cut), passage.scope:
                try:
                    await passage.admit()
                    yield passage
                except BaseException as error:
                    await passage.leave(error)
                    raise
                await passage.leave(None)
        except Exception:
            if passage.cut_by is None:
                raise
        if passage.cut_by is not None:
            raise RefusedError(passage.cut_by, exchange.id)

    async def govern(self, exchange: Exchange, forward: Callable[[Exchange], Awaitable[Body]]) -> Exchange:
        """Judge, forward and judge the answer of an exchange whose answer is one body.

        Raises:
            RefusedError: request or response was refused.
        """
        async with self.passage(exchange) as passage:
            answered = await passage.respond(await forward(passage.exchange))
            await passage.settle(Outcome("ok"))
            return answered

    def may_see(self, exchange: Exchange) -> bool:
        """Whether the principal should see what this exchange would call, for filtering lists. A broken rule hides."""
        try:
            return self._organs.sight.visible(exchange)
        except Exception:
            log.exception("visibility could not be judged; the entry is hidden")
            return False
