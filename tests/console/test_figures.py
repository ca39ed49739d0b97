"""What the overview counts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from console.events import Event
from console.figures import health, outcomes, per_minute, spend
from console.plots import minutes, timeline
from governance.audit.event import Tag, Value

NOW = datetime(2026, 11, 21, 12, 30, 30, tzinfo=UTC)


def event(tag: Tag, seconds_ago: float = 0, seq: int = 0, **fields: Value) -> Event:
    return Event(seq, NOW - timedelta(seconds=seconds_ago), tag.value, fields)


def test_calls_are_counted_in_their_minute_by_decision() -> None:
    found = per_minute(
        [
            event(Tag.EXCHANGE_ADMITTED, 10, policy_decision="allow"),
            event(Tag.EXCHANGE_ADMITTED, 40, policy_decision="redact"),
            event(Tag.EXCHANGE_REFUSED, 40, policy_decision="deny"),
            event(Tag.EXCHANGE_COMPLETED, 40, policy_decision="allow"),
            event(Tag.EXCHANGE_ADMITTED, 4000, policy_decision="allow"),
        ],
        NOW,
        minutes=3,
    )
    assert [dict(one.counts) for one in found] == [{}, {"redact": 1, "deny": 1}, {"allow": 1}]


def test_a_model_without_a_price_is_not_free() -> None:
    ended = Tag.EXCHANGE_COMPLETED
    (dear, unknown) = spend(
        [
            event(ended, model="a", cost_usd="0.10", input_tokens=5, output_tokens=1),
            event(ended, model="a", cost_usd="0.20", input_tokens=5, output_tokens=1),
            event(ended, model="b", input_tokens=100),
            event(ended, tool="t"),
        ]
    )
    assert (dear.model, dear.usd, dear.tokens, dear.unpriced) == ("a", Decimal("0.30"), 12, 0)
    assert (unknown.model, unknown.usd, unknown.calls, unknown.unpriced) == ("b", Decimal(0), 1, 1)


def test_the_first_answer_to_a_question_counts() -> None:
    found = outcomes(
        [
            event(Tag.APPROVAL_REQUESTED, 100, 1, approval_id="a"),
            event(Tag.APPROVAL_GRANTED, 90, 2, approval_id="a"),
            event(Tag.APPROVAL_EXPIRED, 10, 3, approval_id="a"),
            event(Tag.APPROVAL_REQUESTED, 80, 4, approval_id="b"),
            event(Tag.APPROVAL_DENIED, 50, 5, approval_id="b"),
            event(Tag.APPROVAL_EXPIRED, 20, 6, approval_id="c"),
        ]
    )
    assert (found.granted, found.denied, found.expired, found.seconds) == (1, 1, 1, 20.0)


def test_an_upstream_that_fails_shows_it() -> None:
    ended = Tag.EXCHANGE_COMPLETED
    events = [event(ended, server="files", status="error", duration_ms=5), event(ended, server="files", status="ok")]
    files, other, provider = health(events, ["files", "other"], ["openai"])
    assert (files.state, files.failures, other.state, provider.state) == ("failing", 1, "quiet", "quiet")


def test_a_drawing_stays_inside_its_frame() -> None:
    busy = per_minute([event(Tag.EXCHANGE_ADMITTED, n / 10) for n in range(999)], NOW)
    plot = minutes(busy)
    assert all(
        box.y >= 0 and box.y + box.height <= plot.height and box.x + box.width <= plot.width for box in plot.boxes
    )
    drawn = timeline([event(Tag.EXCHANGE_COMPLETED, n, duration_ms=10**6, action="tool.call") for n in range(9)])
    assert all(point.x - point.width >= 0 and point.x <= drawn.width for point in drawn.points)


def test_labels_have_a_lane_of_their_own_on_the_timeline() -> None:
    fields: dict[str, Value] = {"action": "tool.call", "labels_set": ["untrusted_content: server:web"]}
    drawn = timeline([event(Tag.EXCHANGE_ADMITTED, 1, 7, policy_decision="allow", **fields)])
    lane = next(one.y for one in drawn.lanes if one.text == "labels")
    (point,) = [one for one in drawn.points if one.kind == "warn"]
    assert (point.y + 4, point.seq) == (lane, 7)
    assert "labelled untrusted_content: server:web" in point.label


def test_an_empty_log_can_be_drawn() -> None:
    assert minutes(per_minute([], NOW)).boxes == []
    assert timeline([]).points == []
