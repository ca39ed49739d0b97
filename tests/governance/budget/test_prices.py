"""What tokens cost, and that what is not known is never free."""

import logging
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price

from governance.budget.prices import Prices, Used
from governance.config.models import Price
from tests.conftest import ManualClock

MODELS = ("gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-pro", "deepseek-chat")
AMOUNTS = (
    Used("", 1000, 100),
    Used("", 1000, 100, 300, 200),
    Used("", 0, 7),
    Used("", 199_999, 1),
    Used("", 200_000, 1),
    Used("", 200_001, 1, 100_000),
    Used("", 900_000, 5_000),
)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("used", AMOUNTS)
def test_a_price_is_exactly_that_of_the_book(model: str, used: Used, clock: ManualClock) -> None:
    usage = Usage(
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cache_read_tokens=used.cache_read_tokens,
        cache_write_tokens=used.cache_write_tokens,
    )
    book = calc_price(usage, model, genai_request_timestamp=clock.now()).total_price
    assert Prices({}, clock).dollars(model, used) == book


def test_a_price_that_depends_on_the_hour_follows_it(clock: ManualClock) -> None:
    prices = Prices({}, clock)
    used = Used("", 1_000_000, 1_000_000)
    for hour in range(24):
        clock.moment = datetime(2025, 8, 1, hour, 31, tzinfo=UTC)
        clock.elapsed += 3600
        book = calc_price(
            Usage(input_tokens=1_000_000, output_tokens=1_000_000), "deepseek-chat", genai_request_timestamp=clock.now()
        )
        assert prices.dollars("deepseek-chat", used) == book.total_price


def test_the_configurations_own_price_wins(clock: ManualClock) -> None:
    prices = Prices({"gpt-4o-mini": Price(input=Decimal(1), output=Decimal(2), cache_read=Decimal("0.5"))}, clock)
    assert prices.dollars("gpt-4o-mini", Used("", 1000, 1000, 400, 100)) == Decimal("0.0028")


def test_an_unknown_model_is_loud_and_never_free(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    prices = Prices({}, clock)
    with caplog.at_level(logging.WARNING):
        assert prices.dollars("house-model", Used("", 10, 10)) is None
        assert prices.dollars("house-model", Used("", 10, 10)) is None
    assert [record.getMessage() for record in caplog.records] == [
        "the price of model 'house-model' is not known, so its cost is not counted: give it in `prices`"
    ]


def test_a_name_that_is_too_long_has_no_price(clock: ManualClock) -> None:
    assert Prices({}, clock).dollars("gpt-4o-mini" + "x" * 1000, Used("", 1)) is None


def test_more_cached_than_sent_is_counted_and_does_not_fail(clock: ManualClock) -> None:
    assert Prices({}, clock).dollars("claude-sonnet-4-5", Used("", 10, 0, 20, 0)) == Decimal("0.000006")
