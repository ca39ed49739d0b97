"""The way through the guard, as the gateway sees it: the small part of `pipeline/guard.py` that it uses."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from gateway.relay import Strand
from governance.exchange import Body, Exchange, Principal, Role, SessionRef, ToolUse
from governance.stage import Outcome
from governance.verdict import Verdict
from sessions.correlate import Signs


class Passing(Protocol):
    """One exchange on its way (`pipeline/passage.py`)."""

    @property
    def exchange(self) -> Exchange:
        """The exchange as judged."""
        ...

    @property
    def warnings(self) -> list[Verdict]:
        """What the client should be told although the exchange goes on."""
        ...

    async def respond(self, body: Body) -> Exchange:
        """Judge a whole answer; raises `RefusedError` where it is withheld."""
        ...

    def stream(self, channel: str, role: Role) -> Strand:
        """The guard of one running text."""
        ...

    def asks(self, uses: Sequence[ToolUse]) -> None:
        """The answer asks for tools: written down with the outcome, or before by `tell`."""
        ...

    async def tell(self) -> None:
        """Write down now what the answer asks for; raises `RefusedError` where that cannot be done."""
        ...

    async def settle(self, outcome: Outcome) -> None:
        """Make the outcome durable; raises `RefusedError` where it cannot be, or the stream is withheld."""
        ...


class Guarding(Protocol):
    """The guard."""

    def passage(self, exchange: Exchange) -> AbstractAsyncContextManager[Passing]:
        """The way of one exchange; raises `RefusedError` where it must not be forwarded or not go on."""
        ...


class Roll(Protocol):
    """Tells runs apart (`sessions/roll.py`)."""

    async def place_model_call(self, signs: Signs, principal: Principal, exchange_id: str) -> SessionRef:
        """The run of a model call; raises `StoreError` where that cannot be told."""
        ...


class Recognising(Protocol):
    """Who is asking (`governance/identity/directory.py`)."""

    async def recognise(self, token: str | None, *, peer: str = "", user: str = "") -> Principal:
        """The principal behind a key or access token; raises `UnknownKeyError` or `IdentityStaleError`."""
        ...

    def principal(self, token: str | None, *, peer: str = "", user: str = "") -> Principal:
        """The principal behind a key; raises `UnknownKeyError` or `IdentityStaleError`."""
        ...
