"""What an exchange used, and how sure that is."""

from datetime import UTC, datetime

from gateway.dialects.dialect import Usage
from gateway.metering import Meter
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


def test_the_providers_own_count_is_never_estimated_over_even_if_it_is_zero() -> None:
    meter = Meter(OneDollarAToken(), sent_characters=400, received_characters=40, usage=Usage("m", 0, 0))
    outcome = meter.outcome(EXCHANGE, "ok")
    assert (outcome.input_tokens, outcome.output_tokens, outcome.estimated) == (0, 0, False)


def test_what_the_provider_never_counted_is_estimated_and_says_so() -> None:
    outcome = Meter(OneDollarAToken(), sent_characters=401, received_characters=41).outcome(EXCHANGE, "cancelled")
    assert (outcome.input_tokens, outcome.output_tokens, outcome.estimated) == (101, 11, True)
    assert outcome.cost_usd == "112"


def test_what_the_provider_said_before_it_broke_off_is_kept() -> None:
    partial = Usage("m-1", input_tokens=105, output_tokens=1, cache_read_tokens=100)
    outcome = Meter(OneDollarAToken(), sent_characters=9, received_characters=40, partial=partial).outcome(
        EXCHANGE, "error"
    )
    assert (outcome.model, outcome.input_tokens, outcome.cache_read_tokens) == ("m-1", 105, 100)
    assert (outcome.output_tokens, outcome.estimated) == (10, True)


def test_nothing_sent_or_refused_by_the_provider_or_free_costs_nothing() -> None:
    for meter in (
        Meter(OneDollarAToken()),
        Meter(OneDollarAToken(), sent_characters=9, upstream_status=429),
        Meter(OneDollarAToken(), sent_characters=9, metered=False),
    ):
        outcome = meter.outcome(EXCHANGE, "error")
        assert (outcome.input_tokens, outcome.cost_usd, outcome.estimated) == (0, "", False)
