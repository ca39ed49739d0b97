"""What tokens cost, in US dollars: the configuration's own prices first, then those of the `genai-prices` package.

A model without a price costs an unknown amount, which is said loudly and is never the same as nothing. What follows
for a ceiling is `stage.py`.
"""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from genai_prices import Usage, calc_price
from genai_prices.types import PriceCalculation, TieredPrices

from governance.clock import Clock
from governance.config.models import Price
from governance.exchange import Exchange

log = logging.getLogger(__name__)

MILLION = Decimal(1_000_000)
_REMEMBERED = 1024
"""How many models the rates are remembered for; clients choose the names."""
_FRESH_SECONDS = 60
"""How long: some prices depend on the time of day."""
MAX_NAME = 200


class Tokens(Protocol):
    """What a model call used."""

    @property
    def model(self) -> str:
        """The model that answered, which may be more exact than the one asked for."""
        ...

    @property
    def input_tokens(self) -> int:
        """All tokens that went in, those read from and written to a cache included."""
        ...

    @property
    def output_tokens(self) -> int:
        """Tokens that came out."""
        ...

    @property
    def cache_read_tokens(self) -> int:
        """Of the input: read from a cache."""
        ...

    @property
    def cache_write_tokens(self) -> int:
        """Of the input: written to a cache."""
        ...


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens of one model."""

    model: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Rates:
    """US dollars for one token of each kind."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write: Decimal
    below: int | None = None
    """They hold for fewer input tokens than this; `None` for any number."""

    def price(self, used: Tokens) -> Decimal:
        read, written = used.cache_read_tokens, used.cache_write_tokens
        fresh = max(used.input_tokens - read - written, 0)
        return (
            fresh * self.input + read * self.cache_read + written * self.cache_write + used.output_tokens * self.output
        )


class Prices:
    """Prices of models."""

    def __init__(self, own: Mapping[str, Price], clock: Clock) -> None:
        self._own = {model: _own_rates(price) for model, price in own.items()}
        self._clock = clock
        self._rates: OrderedDict[str, tuple[float, _Rates | None]] = OrderedDict()
        self._complained: set[str] = set()

    def cost(self, exchange: Exchange, usage: Tokens) -> str:
        """What a model call cost, as decimal text in US dollars; empty where the model's price is not known."""
        dollars = self.dollars(usage.model or exchange.resource.model, usage)
        return "" if dollars is None else format(dollars.normalize(), "f")

    def dollars(self, model: str, used: Tokens) -> Decimal | None:
        """What tokens of a model cost in US dollars; `None` where its price is not known."""
        rates = self._own.get(model) or self._remembered(model)
        if rates is None:
            self._complain(model)
            return None
        if rates.below is not None and used.input_tokens >= rates.below:
            return self._by_the_book(model, used)
        return rates.price(used)

    def _remembered(self, model: str) -> _Rates | None:
        """The rates of the package, worked out once a minute: asking it each time takes longer than judging a call."""
        now = self._clock.monotonic()
        known = self._rates.get(model)
        if known is None or known[0] <= now:
            known = (now + _FRESH_SECONDS, self._probe(model))
            self._rates[model] = known
            if len(self._rates) > _REMEMBERED:
                self._rates.popitem(last=False)
        return known[1]

    def _probe(self, model: str) -> _Rates | None:
        book = self._book(model, Used(model))
        if book is None:
            return None
        tiers = [price for price in vars(book.model_price).values() if isinstance(price, TieredPrices)]
        starts = [tier.start for price in tiers for tier in price.tiers]
        return _Rates(
            input=self._by_the_book(model, Used(model, input_tokens=1)),
            output=self._by_the_book(model, Used(model, output_tokens=1)),
            cache_read=self._by_the_book(model, Used(model, input_tokens=1, cache_read_tokens=1)),
            cache_write=self._by_the_book(model, Used(model, input_tokens=1, cache_write_tokens=1)),
            below=min(starts) if starts else None,
        )

    def _by_the_book(self, model: str, used: Tokens) -> Decimal:
        book = self._book(model, used)
        return Decimal(0) if book is None else book.total_price

    def _book(self, model: str, used: Tokens) -> PriceCalculation | None:
        if not model or len(model) > MAX_NAME:
            return None
        read, written = used.cache_read_tokens, used.cache_write_tokens
        usage = Usage(
            input_tokens=max(used.input_tokens, read + written),
            output_tokens=used.output_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
        )
        try:
            return calc_price(usage, model, genai_request_timestamp=self._clock.now())
        except LookupError:
            return None

    def _complain(self, model: str) -> None:
        name = model[:MAX_NAME]
        if name not in self._complained and len(self._complained) < _REMEMBERED:
            self._complained.add(name)
            log.warning("the price of model %r is not known, so its cost is not counted: give it in `prices`", name)


def _own_rates(price: Price) -> _Rates:
    return _Rates(
        input=price.input / MILLION,
        output=price.output / MILLION,
        cache_read=(price.input if price.cache_read is None else price.cache_read) / MILLION,
        cache_write=(price.input if price.cache_write is None else price.cache_write) / MILLION,
    )
