"""What an exchange used: tokens as the provider counted them, or an estimate that says so, and what they cost.

One meter for one exchange. Where tokens are limited and paid for is `governance/budget`.
"""

from dataclasses import dataclass, field
from typing import Protocol

from gateway.dialects.dialect import Usage
from governance.exchange import Exchange
from governance.stage import Outcome

CHARACTERS_PER_TOKEN = 4
"""The usual ratio of English text; an estimate is only made when the provider's own count never came."""


class Prices(Protocol):
    """What tokens cost."""

    def cost(self, exchange: Exchange, usage: Usage) -> str:
        """Decimal text in US dollars; empty where the model's price is not known."""
        ...


@dataclass
class Meter:
    """What is known so far of what one exchange used."""

    prices: Prices
    metered: bool = True
    """Whether the operation is paid for at all."""
    sent_characters: int = 0
    """How much was sent to the provider; 0 = nothing was."""
    received_characters: int = 0
    upstream_status: int = 0
    usage: Usage | None = None
    """The provider's final word."""
    partial: Usage = field(default_factory=Usage)
    """What it said before."""

    def outcome(self, exchange: Exchange, status: str, *, error: str = "") -> Outcome:
        """How the exchange ended, with what is known of its use."""
        usage, estimated = self._usage()
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

    def _usage(self) -> tuple[Usage, bool]:
        if self.usage is not None:
            return self.usage, False
        refused_by_provider = self.upstream_status >= 400
        if not self.metered or not self.sent_characters or refused_by_provider:
            return self.partial, False
        known = self.partial
        return (
            Usage(
                model=known.model,
                input_tokens=known.input_tokens or estimate(self.sent_characters),
                output_tokens=max(known.output_tokens, estimate(self.received_characters)),
                cache_read_tokens=known.cache_read_tokens,
                cache_write_tokens=known.cache_write_tokens,
            ),
            True,
        )


def estimate(characters: int) -> int:
    """About how many tokens a text of this length has, rounded up."""
    return -(-characters // CHARACTERS_PER_TOKEN)
