"""`sessions.roll`: which runs there are, and where a tool call without a name of its own belongs."""

from dataclasses import replace
from datetime import UTC, datetime

from governance.exchange import Action, Body, Exchange, Principal, Resource, SessionRef
from governance.store import Store, open_store
from sessions.correlate import Signs, correlate
from sessions.roll import PLACED_SECONDS, REFRESH_SECONDS, Roll
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


async def test_a_tool_call_joins_the_only_run_of_its_key(database_url: str, clock: ManualClock) -> None:
    async with open_store(database_url) as store:
        roll = Roll(SqlRuns(store), clock)
        model_side = correlate(Signs(headers={"x-claude-code-session-id": "c1"}), KEY)
        await note(store, roll, model_side, "llm")
        placed = await roll.place(Signs(transport="mcp-1"), KEY)
        assert (placed.id, placed.evidence) == (model_side.id, "only_run")
        assert (await roll.place(Signs(transport="mcp-1"), replace(KEY, key_id="key_2"))).evidence == "transport"


async def test_two_runs_that_fit_are_no_join(database_url: str, clock: ManualClock) -> None:
    async with open_store(database_url) as store:
        roll = Roll(SqlRuns(store), clock)
        for name in ("c1", "c2"):
            await note(store, roll, correlate(Signs(headers={"x-claude-code-session-id": name}), KEY), "llm")
        assert (await roll.place(Signs(transport="mcp-1"), KEY)).evidence == "transport"


async def test_a_run_of_long_ago_is_not_joined(database_url: str, clock: ManualClock) -> None:
    async with open_store(database_url) as store:
        roll = Roll(SqlRuns(store), clock)
        await note(store, roll, correlate(Signs(headers={"x-claude-code-session-id": "c1"}), KEY), "llm")
        clock.advance(3600)
        assert (await roll.place(Signs(transport="mcp-1"), KEY)).evidence == "transport"


async def test_where_a_transport_belongs_is_asked_again_after_a_while(database_url: str, clock: ManualClock) -> None:
    async with open_store(database_url) as store:
        roll = Roll(SqlRuns(store), clock)
        assert (await roll.place(Signs(transport="mcp-1"), KEY)).evidence == "transport"
        await note(store, roll, correlate(Signs(headers={"x-claude-code-session-id": "c1"}), KEY), "llm")
        assert (await roll.place(Signs(transport="mcp-1"), KEY)).evidence == "transport"
        clock.advance(PLACED_SECONDS)
        assert (await roll.place(Signs(transport="mcp-1"), KEY)).evidence == "only_run"


async def test_better_evidence_is_left_alone(database_url: str, clock: ManualClock) -> None:
    async with open_store(database_url) as store:
        roll = Roll(SqlRuns(store), clock)
        await note(store, roll, correlate(Signs(headers={"x-claude-code-session-id": "c1"}), KEY), "llm")
        placed = await roll.place(Signs(meta={"sessionId": "s9"}, transport="mcp-1"), KEY)
        assert placed.evidence == "agent_body"
