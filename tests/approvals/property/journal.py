"""What a racing process writes down of its own doing, beside the audit log: the judge holds the two against each other.

Times are seconds of the machine's monotonic clock, which both processes share.
"""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Span:
    """Something that took effect at some moment between two others."""

    start: float
    end: float
    value: str


@dataclass
class Forwarded:
    """A call that was really made."""

    exchange: str
    start: float
    """When the call came in."""
    at: float
    """When it was made."""
    elapsed: float
    """Seconds on the shared clock when the call came in."""
    key: str
    session: str
    tool: str
    definition: str
    arguments: str
    """Digest."""


@dataclass
class Approved:
    """An approval that counted, of the call as somebody saw it, and who changed nothing."""

    ticket: str
    person: str
    seen: str
    """Digest; empty = of the call as it was asked for."""


@dataclass
class Journal:
    """Everything of one process."""

    worker: int
    forwarded: list[Forwarded] = field(default_factory=list[Forwarded])
    redeemed: list[str] = field(default_factory=list[str])
    """Tickets that were used up at the desk, without a call."""
    decided: list[Span] = field(default_factory=list[Span])
    """Approvals that counted; the value is the ticket."""
    approved: list[Approved] = field(default_factory=list[Approved])
    policies: list[Span] = field(default_factory=list[Span])
    """Which version was in force in this process."""
    definitions: list[Span] = field(default_factory=list[Span])
    """Which definition could be used, by the process that owns them."""
    runs: dict[str, list[Span]] = field(default_factory=dict[str, list[Span]])
    """`alive` or `killed`, of each session that this process owns."""
    steps: dict[str, int] = field(default_factory=dict[str, int])
    refusals: dict[str, int] = field(default_factory=dict[str, int])

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def load(told: dict[str, Any]) -> Journal:
    """A journal that was dumped."""
    return Journal(
        told["worker"],
        [Forwarded(**one) for one in told["forwarded"]],
        told["redeemed"],
        _spans(told["decided"]),
        [Approved(**one) for one in told["approved"]],
        _spans(told["policies"]),
        _spans(told["definitions"]),
        {name: _spans(found) for name, found in told["runs"].items()},
        told["steps"],
        told["refusals"],
    )


def _spans(told: list[dict[str, Any]]) -> list[Span]:
    return [Span(**one) for one in told]


def possible(spans: list[Span], start: float, end: float) -> set[str]:
    """What may have held at some moment between two: each value from when it was begun until the next was there."""
    ends = [*(one.end for one in spans[1:]), float("inf")]
    return {one.value for one, until in zip(spans, ends, strict=True) if one.start <= end and until >= start}
