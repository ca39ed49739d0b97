"""Where the marks of a drawing stand. Pure: numbers in, rectangles and points out; the templates make the SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from approvals.visible import revealed
from console.events import Event
from console.figures import Column, Spend, decision_of
from governance.audit.event import Tag


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle. `kind` picks its colour, `label` is what it says."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A word beside a drawing."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing in its own units."""

    width: float
    height: float
    boxes: list[Box]
    marks: list[Mark]
    lines: list[float]
    """Heights of the horizontal grid lines."""


def stacks(
    found: Sequence[Column],
    kinds: Sequence[str],
    form: str,
    *,
    unit: str = "",
    width: float = 1090,
    height: float = 220,
) -> Plot:
    """Stacked columns, one a span of time, with a grid of round numbers.

    Args:
        found: the columns, oldest first.
        kinds: what is stacked, from below; a column without these is drawn as one, of kind `quiet`.
        form: how a column is called, for `strftime`.
        unit: stands behind each number.
        width: of the drawing.
        height: of the drawing.
    """
    left, bottom, top = 44.0, height - 20, 8.0
    ceiling = _round_up(max((one.total for one in found), default=0))
    step = (width - left) / max(1, len(found))
    scale = (bottom - top) / ceiling
    boxes: list[Box] = []
    for index, one in enumerate(found):
        y = bottom
        for kind in kinds or sorted(one.counts):
            if count := one.counts[kind]:
                y -= count * scale
                label = " ".join(part for part in (f"{one.at:{form}}: {count:,}", unit, kind) if part)
                drawn = kind if kinds else "quiet"
                boxes.append(Box(left + index * step + 1, y, max(1.0, step - 2), count * scale, drawn, label))
    grid = [0, ceiling // 2, ceiling] if ceiling > 1 else [0, ceiling]
    lines = [bottom - value * scale for value in grid]
    marks = [Mark(left - 6, bottom - value * scale + 4, _short(value)) for value in grid]
    every = max(1, len(found) // 6)
    marks += [
        Mark(left + (index + 0.5) * step, height - 4, f"{one.at:{form}}")
        for index, one in enumerate(found)
        if index % every == every // 2
    ]
    return Plot(width, height, boxes, marks, lines)


def _short(value: int) -> str:
    """A round number in few characters: `40`, `2k`, `10M`."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return str(value)


def bars(found: Sequence[Spend], *, width: float = 300) -> list[tuple[Spend, float]]:
    """Each model with the length of its bar, out of `width`; by cost, or by tokens where nothing has a price."""
    priced = any(one.usd for one in found)
    sizes = [float(one.usd) if priced else float(one.tokens) for one in found]
    return list(zip(found, lengths(sizes, width=width), strict=True))


def lengths(sizes: Sequence[float], *, width: float = 300) -> list[float]:
    """The length of a bar for each size, the largest `width` long."""
    longest = max(sizes, default=0) or 1
    return [width * size / longest for size in sizes]


LANES = ("model calls", "tool calls", "labels", "approvals", "switches")


_LABELS = 2


@dataclass(frozen=True, slots=True)
class Point:
    """One event on the timeline of a run."""

    x: float
    y: float
    kind: str
    label: str
    seq: int
    width: float = 0
    """How long it took, to scale; 0 for a moment."""
    lane: str = ""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The drawing of a run."""

    width: float
    height: float
    points: list[Point]
    lanes: list[Mark]
    ticks: list[Mark]


def timeline(events: Sequence[Event], *, width: float = 760) -> Timeline:
    """Model calls, tool calls, approvals and switches of a run, each in its lane, left to right in time.

    Each event is one mark, so a drawing is as large as the page of events that it is made of, however long the run is.
    """
    left, lane_height, top = 100.0, 40.0, 8.0
    height = top + lane_height * len(LANES) + 22
    lanes = [Mark(0, top + lane_height * (index + 0.5) + 4, name) for index, name in enumerate(LANES)]
    if not events:
        return Timeline(width, height, [], lanes, [])
    start, end = min(one.at for one in events), max(one.at for one in events)
    span = max((end - start).total_seconds(), 1.0)
    room = width - left - 20
    points: list[Point] = []
    for event in events:
        x = left + room * (event.at - start).total_seconds() / span
        if labels := event.texts("labels_set"):
            y, named = top + lane_height * (_LABELS + 0.5), f"{event.at:%H:%M:%S} labelled {', '.join(labels)}"
            points.append(Point(x, y, "warn", revealed(named), event.seq, lane=LANES[_LABELS]))
        if (lane := _lane(event)) is None:
            continue
        took = room * event.number("duration_ms") / 1000 / span
        kind, label = _meaning(event)
        y = top + lane_height * (lane + 0.5)
        points.append(Point(x, y, kind, revealed(label), event.seq, min(took, x - left), LANES[lane]))
    ticks = [Mark(left + room * part / 4, height - 4, _clock(start, span * part / 4)) for part in range(5)]
    return Timeline(width, height, points, lanes, ticks)


def _lane(event: Event) -> int | None:
    if event.tag.startswith("exchange."):
        return 0 if event.text("action").startswith("llm.") else 1
    if event.tag.startswith("approval."):
        return 3
    return 4 if event.tag.startswith("session.") else None


def _meaning(event: Event) -> tuple[str, str]:
    what = event.text("tool") or event.text("model") or event.text("scope") or event.text("action")
    named = f"{event.at:%H:%M:%S} {what}"
    if event.tag in (Tag.EXCHANGE_ADMITTED, Tag.EXCHANGE_REFUSED):
        decision = decision_of(event)
        return decision, f"{named}: {decision} {event.text('rule')}".strip()
    if event.tag.startswith("exchange."):
        return "done", f"{named}: {event.text('status') or 'ended'}, {event.number('duration_ms')} ms"
    kinds = {
        Tag.APPROVAL_REQUESTED.value: "hold",
        Tag.APPROVAL_GRANTED.value: "allow",
        Tag.APPROVAL_CONSUMED.value: "done",
        Tag.APPROVAL_PROLONGED.value: "hold",
        Tag.SESSION_REVIVED.value: "allow",
        Tag.SESSION_KILLED.value: "kill",
    }
    return kinds.get(event.tag, "deny"), f"{named}: {event.tag.partition('.')[2]}"


def _clock(start: datetime, seconds: float) -> str:
    return datetime.fromtimestamp(start.timestamp() + seconds, start.tzinfo).strftime("%H:%M:%S")


def _round_up(value: int) -> int:
    """The next round number: 1, 2, 4, 10, 20, 40, 100 and so on."""
    size = 1
    while True:
        for factor in (1, 2, 4):
            if size * factor >= value:
                return size * factor
        size *= 10
