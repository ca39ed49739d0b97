"""What an exchange used: tokens as the provider counted them, or an estimate that says so, and what they cost.

One meter for one exchange. Where tokens are limited and paid for is `governance/budget`.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

import anyio.to_thread

from gateway.dialects.dialect import Usage
from gateway.vocabulary import Vocabulary, VocabularyError
from governance.exchange import Exchange
from governance.jsontree import Levels
from governance.stage import Outcome

log = logging.getLogger(__name__)

CHARACTERS_PER_TOKEN = 4
"""The usual ratio of English text, where no vocabulary is known to count as the model does."""
MOST_COUNTED = 400_000
"""Characters that are really counted; what is beyond is taken to be like them."""


class Prices(Protocol):
    """What tokens cost."""

    def cost(self, exchange: Exchange, usage: Usage) -> str:
        """Decimal text in US dollars; empty where the model's price is not known."""
        ...


@dataclass
class Meter:
    """What is known so far of what one exchange used."""

    prices: Prices
    vocabulary: Vocabulary | None = None
    """Counts about as the model does, where there is such a thing."""
    metered: bool = True
    """Whether the operation is paid for at all."""
    sent: Levels = field(default_factory=list[list[str]])
    """The strings that were sent to the provider, by levels; empty = nothing was."""
    received: Sequence[str] = ()
    """The strings that came back, as far as they were read."""
    upstream_status: int = 0
    usage: Usage | None = None
    """The provider's final word."""
    partial: Usage = field(default_factory=Usage)
    """What it said before."""

    async def outcome(self, exchange: Exchange, status: str, *, error: str = "") -> Outcome:
        """How the exchange ended, with what is known of its use."""
        usage, estimated = self.usage, False
        if usage is None:
            estimated = self.metered and bool(self.sent) and self.upstream_status < 400
            usage = await self._estimated() if estimated else self.partial
        return Outcome(
            status=status,
            model=usage.model,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            cost_usd=self.prices.cost(exchange, usage) if usage.input_tokens or usage.output_tokens else "",
            estimated=estimated,
            upstream_status=self.upstream_status,
            error=error,
        )

    async def _estimated(self) -> Usage:
        known = self.partial
        went_in = known.input_tokens or await self._count(list(chain.from_iterable(self.sent)))
        return Usage(
            model=known.model,
            input_tokens=went_in,
            output_tokens=max(known.output_tokens, await self._count(self.received)),
            cache_read_tokens=known.cache_read_tokens,
            cache_write_tokens=known.cache_write_tokens,
        )

    async def _count(self, texts: Sequence[str]) -> int:
        text = "".join(texts)
        if self.vocabulary is None or not text:
            return _by_length(len(text))
        try:
            counted = await anyio.to_thread.run_sync(self.vocabulary.count, text[:MOST_COUNTED])
        except VocabularyError as error:
            log.error("tokens are estimated by length only: %s", error)  # noqa: TRY400 - the message says it all
            return _by_length(len(text))
        return -(-counted * len(text) // min(len(text), MOST_COUNTED))


def _by_length(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
