"""The one shape of a check.

A stage returns what it thinks. It never forwards, never writes, and never raises to refuse: a stage that raises is a
broken check, and the guard refuses (`stage.error`).
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from governance.exchange import Exchange, Phase
from governance.verdict import Verdict

Thought: TypeAlias = Verdict | Awaitable[Verdict]
"""What a check thinks: told at once, or, where something must be waited for, once it was awaited."""


class Stage(Protocol):
    """One check of the pipeline."""

    name: str
    """Appears as `by` in verdicts and in the audit log."""

    def judge(self, exchange: Exchange, phase: Phase) -> Thought:
        """What this check thinks of the exchange in this phase.

        An `async def` will do. One that need not wait should answer at once: it is asked for every exchange.
        """
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an exchange ended."""

    status: str
    """`ok`, `error`, `refused`, `pending` (a person has still to decide, and the call is to be made again), `cancelled`
    (the client left), `killed`, or `unknown` (nobody can tell any more)."""
    model: str = ""
    """The model that answered, which may be more exact than the one asked for."""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: str = ""
    """Decimal text in US dollars; empty = unknown, which is never the same as zero."""
    estimated: bool = False
    """Whether the tokens were counted by us, because the provider's own numbers never came."""
    upstream_status: int = 0
    error: str = ""


class Settling(Stage, Protocol):
    """A stage that began something when it judged, and must close it whatever happens."""

    def owes(self, exchange: Exchange) -> bool:
        """Whether anything is open for the exchange."""
        ...

    def settle(self, exchange: Exchange, outcome: Outcome) -> Awaitable[None] | None:
        """Close what `judge` began, at once or once it was awaited.

        Called once for each exchange that was judged, also when it was refused.
        """
        ...


class RefusedError(Exception):
    """The guard refused an exchange. Each proxy turns it into its protocol's own error shape."""

    def __init__(self, verdict: Verdict, exchange_id: str, *, ticket: str = "", link: str = "") -> None:
        self.verdict = verdict
        self.exchange_id = exchange_id
        self.ticket = ticket
        """Set when the call waits for a person: id of the ticket that the same call attaches to when made again."""
        self.link = link
        """Page on which a person decides."""
        super().__init__(verdict.reason)
