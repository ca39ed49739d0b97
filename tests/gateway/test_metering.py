"""What an exchange used, and how sure that is."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.dialects.dialect import Usage
from gateway.metering import MOST_COUNTED, Meter
from gateway.vocabulary import Vocabulary
from governance.exchange import Action, Body, Exchange, Principal, Resource, SessionRef

EXCHANGE = Exchange(
    id="exc_1",
    at=datetime(2026, 11, 21, tzinfo=UTC),
    action=Action.LLM_GENERATE,
    principal=Principal("key"),
    resource=Resource(model="m"),
    session=SessionRef("ses_1", "key"),
    request=Body({}),
)


class OneDollarAToken:
    def cost(self, exchange: Exchange, usage: Usage) -> str:
        return str(usage.input_tokens + usage.output_tokens)


async def test_the_providers_own_count_is_never_estimated_over_even_if_it_is_zero() -> None:
    meter = Meter(OneDollarAToken(), sent=[["x" * 400]], received=["x" * 40], usage=Usage("m", 0, 0))
    outcome = await meter.outcome(EXCHANGE, "ok")
    assert (outcome.input_tokens, outcome.output_tokens, outcome.estimated) == (0, 0, False)


async def test_what_the_provider_never_counted_is_estimated_and_says_so() -> None:
    meter = Meter(OneDollarAToken(), sent=[["x" * 400, "y"]], received=["x" * 41])
    outcome = await meter.outcome(EXCHANGE, "cancelled")
    assert (outcome.input_tokens, outcome.output_tokens, outcome.estimated) == (101, 11, True)
    assert outcome.cost_usd == "112"


async def test_a_known_vocabulary_counts_better() -> None:
    meter = Meter(OneDollarAToken(), Vocabulary("o200k_base"), sent=[["hello world"]], received=["hello ", "world"])
    outcome = await meter.outcome(EXCHANGE, "cancelled")
    assert (outcome.input_tokens, outcome.output_tokens) == (2, 2)


async def test_only_the_beginning_of_a_long_text_is_counted() -> None:
    meter = Meter(OneDollarAToken(), Vocabulary("o200k_base"), sent=[["hello world " * (MOST_COUNTED // 6)]])
    outcome = await meter.outcome(EXCHANGE, "cancelled")
    assert outcome.input_tokens == pytest.approx(MOST_COUNTED // 3, rel=0.01)


async def test_a_vocabulary_that_was_changed_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    meter = Meter(OneDollarAToken(), Vocabulary("o200k_base", tmp_path), sent=[["x" * 400]])
    assert (await meter.outcome(EXCHANGE, "cancelled")).input_tokens == 100
    assert "install Wicket again" in caplog.text


async def test_what_the_provider_said_before_it_broke_off_is_kept() -> None:
    partial = Usage("m-1", input_tokens=105, output_tokens=1, cache_read_tokens=100)
    meter = Meter(OneDollarAToken(), sent=[["x"]], received=["x" * 40], partial=partial)
    outcome = await meter.outcome(EXCHANGE, "error")
    assert (outcome.model, outcome.input_tokens, outcome.cache_read_tokens) == ("m-1", 105, 100)
    assert (outcome.output_tokens, outcome.estimated) == (10, True)


async def test_nothing_sent_or_refused_by_the_provider_or_free_costs_nothing() -> None:
    for meter in (
        Meter(OneDollarAToken()),
        Meter(OneDollarAToken(), sent=[["x"]], upstream_status=429),
        Meter(OneDollarAToken(), sent=[["x"]], metered=False),
    ):
        outcome = await meter.outcome(EXCHANGE, "error")
        assert (outcome.input_tokens, outcome.cost_usd, outcome.estimated) == (0, "", False)
