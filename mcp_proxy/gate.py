"""What the relay asks of others: the guard, the rules for headers, and whoever tells runs apart.

Protocols and their simplest forms only. What is done with them is `relay.py`.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, NoReturn, Protocol, TypeAlias

from approvals.attendance import UNATTENDED, Attendance
from governance import jsontree
from governance.catalog.catalog import Catalog
from governance.exchange import Body, Exchange, Phase, Principal, SessionRef
from governance.jsontree import JsonObject
from governance.stage import Outcome
from governance.verdict import Verdict
from mcp_proxy.calls import Calls
from mcp_proxy.lens import call_of_listed, listed_tools
from mcp_proxy.link import Link, Outlet
from mcp_proxy.message import Message, result_of
from sessions.correlate import Signs, correlate


class Way(Protocol):
    """One exchange on its way through the guard (`pipeline.passage.Passage`)."""

    exchange: Exchange
    warnings: list[Verdict]
    notices: list[str]

    async def respond(self, body: Body) -> Exchange:
        """Judge a whole response."""
        ...

    async def settle(self, outcome: Outcome) -> None:
        """Make the outcome durable."""
        ...

    def withhold(self, verdict: Verdict) -> NoReturn:
        """Refuse the response."""
        ...


class Gate(Protocol):
    """The guard, as this proxy uses it (`pipeline.guard.Guard`)."""

    def passage(self, exchange: Exchange, attendance: Attendance = UNATTENDED) -> AbstractAsyncContextManager[Way]:
        """The way of one exchange. `attendance` waits with its client while a person is asked."""
        ...

    async def inspect(self, exchange: Exchange, phase: Phase) -> Exchange:
        """Judge a message that is no exchange of its own."""
        ...

    async def note_refused(self, exchange: Exchange, verdict: Verdict) -> None:
        """Record an exchange that is refused before any check was asked."""
        ...

    def may_see(self, exchange: Exchange) -> bool:
        """Whether a listed tool should be seen."""
        ...


class HeaderRules(Protocol):
    """Headers that repeat parts of a body, for fronts that have headers (`mcp_proxy.eras`)."""

    def rewritten(self, server: str, message: Message, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The headers that fit an edited message."""
        ...


Place: TypeAlias = Callable[[Signs, Principal], Awaitable[SessionRef]]


async def by_evidence(signs: Signs, principal: Principal) -> SessionRef:
    """The run that the message itself names. `sessions.roll.Roll.place` knows more: the only run of a key."""
    return correlate(signs, principal)


class Route(NamedTuple):
    """What one client message travels by."""

    link: Link
    outlet: Outlet
    calls: Calls
    headers: Mapping[str, str]


async def learned(catalog: Catalog, server: str, asked: Message, answer: Message) -> None:
    """Take in what a server lists, or one page of it, as it was received.

    Args:
        catalog: takes it in.
        server: whose it is.
        asked: the request for `tools/list`.
        answer: the response.
    """
    tools = listed_tools(answer)
    await catalog.learn(server, tools)
    if "result" in answer.value:
        following = result_of(answer).get("nextCursor")
        catalog.offered.page(server, len(tools), asked.params.get("cursor"), following)


def seen_of(gate: Gate, catalog: Catalog, listing: Exchange, result: JsonObject) -> JsonObject:
    """The result of `tools/list` without the tools that policy hides; the very same object where it hides none."""
    listed = jsontree.as_list(result.get("tools"))
    shown = [tool for tool in listed if isinstance(tool, dict) and gate.may_see(call_of_listed(listing, tool, catalog))]
    return result if len(shown) == len(listed) else {**result, "tools": list(shown)}
