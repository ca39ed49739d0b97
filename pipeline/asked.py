"""The tool calls that an answer asks for, until they are written down. Where they are found again is `sessions/`."""

import logging
from collections.abc import Sequence
from typing import Protocol

from governance.exchange import Exchange, ToolUse
from governance.store import StoreError, Work

log = logging.getLogger(__name__)


class Roll(Protocol):
    """The book of runs."""

    def sign(self, exchange: Exchange) -> Work[None] | None:
        """What to write when this exchange is the first sign of its run, or of its going on."""
        ...

    def proposed(self, exchange: Exchange, uses: Sequence[ToolUse]) -> Work[None]:
        """What to write when the answer to this exchange asks for tools."""
        ...

    async def tell(self, exchange: Exchange, uses: Sequence[ToolUse]) -> None:
        """Write that down now; raises `StoreError` where it cannot be."""
        ...


class Asked:
    """What one answer asks for."""

    def __init__(self, roll: Roll) -> None:
        self._roll = roll
        self._waiting: list[ToolUse] = []

    def add(self, uses: Sequence[ToolUse]) -> None:
        """The answer asks for tools."""
        self._waiting += uses

    async def tell(self, exchange: Exchange) -> bool:
        """Write down now what waits; false if it could not be."""
        waiting, self._waiting = self._waiting, []
        try:
            await self._roll.tell(exchange, waiting)
        except StoreError as error:
            log.error("what the answer of exchange %s asks for is not written: %s", exchange.id, error)  # noqa: TRY400
            return False
        return True

    def work(self, exchange: Exchange) -> Work[None] | None:
        """What waits, to be written along with the ending of the exchange."""
        return self._roll.proposed(exchange, self._waiting) if self._waiting else None
