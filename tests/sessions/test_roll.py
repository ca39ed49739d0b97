"""`sessions.roll`: which runs there are, and where a tool call without a name of its own belongs."""

from dataclasses import replace
from datetime import UTC, datetime

from governance.exchange import Action, Body, Exchange, Principal, Resource, SessionRef
from governance.store import Store, open_store
from sessions.correlate import Called, Signs, correlate
from sessions.roll import REFRESH_SECONDS, Roll
from sessions.store import SqlRuns
from tests.conftest import ManualClock

KEY = Principal("key_1", tenant="acme", agent="builder")


def exchange(session: SessionRef, plane: str, at: datetime = datetime(2026, 11, 21, 12, tzinfo=UTC)) -> Exchange:
    return Exchange("exc_1", at, Action.TOOL_CALL, KEY, Resource(), session, Body({}), facts={"plane": plane})


async def note(store: Store, roll: Roll, session: SessionRef, plane: str) -> None:
    """Write down what an exchange of this run asks to be written."""
    if work := roll.sign(exchange(session, plane)):
        await store.write(work)


async def test_a_run_is_written_down_once_and_again_when_it_went_on_for_a_while(
    database_url: str, clock: ManualClock
) -> None:
    async with open_store(database_url) as store:
        roll = Roll(SqlRuns(store), clock)
        session = correlate(Signs(headers={"x-wicket-session": "s1"}), KEY)
        assert roll.sign(exchange(session, "llm")) is not None
        assert roll.sign(exchange(session, "llm")) is None
        assert roll.sign(exchange(session, "mcp")) is not None
        clock.advance(REFRESH_SECONDS)
        assert roll.sign(exchange(session, "llm")) is not None


async def test_a_run_seen_on_both_planes_is_one_row(database_url: str, clock: ManualClock) -> None:
    async with open_store(database_url) as store:
        runs = SqlRuns(store)
        roll = Roll(runs, clock)
        session = correlate(Signs(headers={"x-wicket-session": "s1"}), KEY)
        await note(store, roll, session, "llm")
        await note(store, roll, session, "mcp")
        (run,) = await runs.newest()
        assert (run.plane, run.source, run.evidence) == ("llm,mcp", "x-wicket-session=s1", "explicit")
        assert await runs.named("s1") == await runs.named(run.id) == [run]
        assert await runs.get("ses_none") is None


async def test_a_run_that_comes_to_be_verified_is_shown_so(database_url: str, clock: ManualClock) -> None:
    async with open_store(database_url) as store:
        runs = SqlRuns(store)
        roll = Roll(runs, clock)
        session = correlate(Signs(headers={"x-claude-code-session-id": "c1"}), KEY)
        await note(store, roll, session, "llm")
        assert [run.verified for run in await runs.newest()] == [False]
        await note(store, roll, replace(session, verified=True), "mcp")
        assert [run.verified for run in await runs.newest()] == [True]


async def test_a_run_is_listed_under_the_one_that_started_it(database_url: str, clock: ManualClock) -> None:
    async with open_store(database_url) as store:
        runs = SqlRuns(store)
        roll = Roll(runs, clock)
        child = correlate(Signs(headers={"x-session-id": "ses_b", "x-parent-session-id": "ses_a"}), KEY)
        await note(store, roll, child, "llm")
        assert [run.id for run in await runs.children(child.parent)] == [child.id]


async def test_where_no_model_is_served_nothing_is_joined(database_url: str, clock: ManualClock) -> None:
    async with open_store(database_url) as store:
        placed = await Roll(SqlRuns(store), clock).place(Signs(transport="mcp-1", call=Called("s", "t", {})), KEY)
        assert (placed.evidence, placed.proposed) == ("transport", None)
