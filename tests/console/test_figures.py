"""What the overview counts, and where the marks of its drawings stand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from console.events import Event
from console.figures import Period, columns, health, middle, outcomes, spend
from console.plots import stacks, timeline
from governance.audit.event import Tag, Value
from sessions.index.counts.store import Counted

NOW = datetime(2026, 11, 21, 12, 30, 30, tzinfo=UTC)


def event(tag: Tag, seconds_ago: float = 0, seq: int = 0, **fields: Value) -> Event:
    return Event(seq, NOW - timedelta(seconds=seconds_ago), tag.value, fields)


def test_counts_stand_in_their_columns() -> None:
    found = [
        Counted("2026-11-21T12:30", "allow", 2),
        Counted("2026-11-21T12:29", "deny", 1),
        Counted("2026-11-21T12:29", "redact", 1),
        Counted("2026-11-21T11:00", "allow", 5),
    ]
    made = columns(found, Period.HOUR, NOW)
    assert len(made) == 60
    assert [dict(one.counts) for one in made[-3:]] == [{}, {"deny": 1, "redact": 1}, {"allow": 2}]
    assert sum(one.total for one in made) == 4


@pytest.mark.parametrize("period", list(Period))
def test_the_last_column_of_every_period_holds_this_moment(period: Period) -> None:
    number, width = period.columns
    first = period.since(NOW)
    assert first + (number - 1) * width <= NOW < first + number * width
    at = NOW.strftime({"minute": "%Y-%m-%dT%H:%M", "hour": "%Y-%m-%dT%H:00", "day": "%Y-%m-%dT00:00"}[period.span])
    assert columns([Counted(at, "allow", 1)], period, NOW)[-1].total == 1


def test_a_model_without_a_price_is_not_free() -> None:
    (dear, unknown) = spend([Counted("", "b", 1, 100, 0, 1), Counted("", "a", 2, 12, 300_000, 0)])
    assert (dear.model, dear.usd, dear.tokens, dear.unpriced) == ("a", Decimal("0.3"), 12, 0)
    assert (unknown.model, unknown.usd, unknown.calls, unknown.unpriced) == ("b", Decimal(0), 1, 1)


def test_what_became_of_questions_is_shared_out() -> None:
    asked = [Counted("", "requested", 9), Counted("", "granted", 3), Counted("", "denied", 1)]
    found = outcomes(asked, [Counted("", "2", 3), Counted("", "10", 1)])
    assert (found.granted, found.denied, found.expired, found.total, found.seconds) == (3, 1, 0, 4, 5)
    assert found.share(found.granted) == 75
    assert outcomes([], []).seconds is None


def test_the_middle_is_the_step_that_half_do_not_exceed() -> None:
    assert middle((1, 10, 100), {0: 1, 1: 1, 2: 1}) == 10
    assert middle((1, 10, 100), {0: 2, 2: 2}) == 1
    assert middle((1, 10, 100), {}) is None


def test_upstreams_are_judged_by_how_exchanges_with_them_ended() -> None:
    ended = [Counted("", "mcp:files", 40, flawed=1), Counted("", "llm:openai", 4, flawed=2)]
    took = [Counted("", "mcp:files 3", 30), Counted("", "mcp:files 9", 10)]
    names = [("mcp", "files"), ("mcp", "idle"), ("llm", "openai")]
    files, idle, openai = health(ended, took, {"mcp:files": "2026-11-21T12:00:00Z"}, names)
    assert (files.state, files.calls, files.failures, files.milliseconds) == ("well", 40, 1, 10)
    assert (idle.state, idle.milliseconds, idle.last) == ("quiet", None, "")
    assert openai.state == "failing"


def test_a_column_is_as_high_as_its_count() -> None:
    made = columns([Counted("2026-11-21T12:30", "allow", 3), Counted("2026-11-21T12:30", "deny", 1)], Period.HOUR, NOW)
    plot = stacks(made, ("allow", "deny"), "%H:%M")
    allow, deny = plot.boxes
    assert allow.height == pytest.approx(3 * deny.height)
    assert deny.y + deny.height == pytest.approx(allow.y)
    assert allow.label == "12:30: 3 allow"
    assert all(box.x >= 0 and box.x + box.width <= plot.width for box in plot.boxes)


def test_a_timeline_puts_each_kind_in_its_lane_and_time_from_left_to_right() -> None:
    drawing = timeline(
        [
            event(Tag.EXCHANGE_ADMITTED, 60, 1, action="llm.generate", model="opus", policy_decision="allow"),
            event(Tag.EXCHANGE_REFUSED, 30, 2, action="tool.call", tool="rm", policy_decision="deny", rule="no"),
            event(Tag.APPROVAL_GRANTED, 10, 3, action="tool.call", tool="send"),
            event(Tag.SESSION_KILLED, 0, 4, scope="session"),
        ]
    )
    assert [point.lane for point in drawing.points] == ["model calls", "tool calls", "approvals", "switches"]
    assert [point.kind for point in drawing.points] == ["allow", "deny", "allow", "kill"]
    assert sorted(point.x for point in drawing.points) == [point.x for point in drawing.points]
    assert len({point.y for point in drawing.points}) == 4
