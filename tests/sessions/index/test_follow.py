"""The index says what the log says: each event once, whoever reads it in, and the same when it is made anew."""

import anyio
from sqlalchemy import text
from sqlmodel import Session

from governance.audit.event import Tag
from sessions.index.counts.store import SqlCounts
from sessions.index.follow import Follower
from sessions.index.reading import WAITS, Count
from sessions.index.store import SqlIndex
from tests.conftest import ManualClock
from tests.sessions.index.story import Scene, scene

TABLES = ("facets", "event_facets", "session_facets", "session_totals", "tallies")


async def rows(here: Scene) -> dict[str, list[tuple[object, ...]]]:
    """All of the index; facets by their names, because their numbers say nothing."""

    def work(session: Session) -> dict[str, list[tuple[object, ...]]]:
        connection = session.connection()
        names = {row[0]: (row[1], row[2]) for row in connection.execute(text("SELECT id, kind, name FROM facets"))}
        found = {name: connection.execute(text(f"SELECT * FROM {name}")).all() for name in TABLES}
        return {
            name: sorted((names[row[0]], *row[1:]) if "facet" in name else tuple(row) for row in some)
            for name, some in found.items()
        }

    return await here.store.read(work)


async def some_calls(here: Scene, count: int) -> None:
    for number in range(count):
        decision = ("allow", "warn", "deny")[number % 3]
        more = {"rule": "no-deletes"} if decision == "deny" else {"classification": ["pii.email"]}
        await here.call(f"ses_{number % 4}", tool=f"tool_{number % 5}", decision=decision, **more)
        await here.call(f"ses_{number % 4}", cost_usd="0.25", input_tokens=10, output_tokens=5)


async def test_followers_that_race_count_each_event_once(database_url: str, clock: ManualClock) -> None:
    async with scene(database_url, clock) as here:
        await some_calls(here, 12)
        others = [Follower(SqlIndex(here.store), clock) for _ in range(4)]
        async with anyio.create_task_group() as tasks:
            for one in others:
                tasks.start_soon(one.catch_up, 1_000)
        assert await here.follower.catch_up() == 0
        raced = await rows(here)
        await here.index.clear()
        assert (await here.index.behind())[0] == -1
        while await here.index.read_on(7):
            pass
        assert await rows(here) == raced


async def test_tokens_and_money_and_verdicts_add_up(database_url: str, clock: ManualClock) -> None:
    async with scene(database_url, clock) as here:
        await some_calls(here, 12)
        assert await here.follower.catch_up() == 0
        counts = SqlCounts(here.store)
        verdicts = await counts.by_name(Count.VERDICT, "hour", "2026", None)
        assert {one.name: one.count for one in verdicts} == {"allow": 16, "warn": 4, "deny": 4}
        (model,) = await counts.by_name(Count.MODEL, "minute", "2026", "acme")
        assert (model.name, model.count, model.tokens, model.micro_usd, model.flawed) == ("opus", 12, 180, 3_000_000, 0)
        assert await counts.by_name(Count.MODEL, "hour", "2026", "globex") == []


async def test_a_session_counts_once_in_each_day_hour_and_minute(database_url: str, clock: ManualClock) -> None:
    async with scene(database_url, clock) as here:
        for _ in range(3):
            await here.call("ses_1", tool="search")
            await here.call("ses_2", tool="search")
            clock.advance(60)
            await here.follower.catch_up()
        counts = SqlCounts(here.store)
        clock.advance(3600)
        await here.call("ses_1", tool="search")
        await here.follower.catch_up()
        assert [one.count for one in await counts.by_time(Count.SESSION, "hour", "2026", None)] == [2, 1]
        assert [one.count for one in await counts.by_time(Count.SESSION, "day", "2026", None)] == [2]
        assert [one.count for one in await counts.by_time(Count.SESSION, "minute", "2026", None)] == [2, 2, 2, 1]


async def test_what_became_of_questions_is_told_apart(database_url: str, clock: ManualClock) -> None:
    async with scene(database_url, clock) as here:
        for number, (tag, more) in enumerate(
            (
                (Tag.APPROVAL_GRANTED, {"state": "approved", "actor": "ann"}),
                (Tag.APPROVAL_DENIED, {"state": "denied", "actor": "ann"}),
                (Tag.APPROVAL_DENIED, {"state": "invalidated", "actor": "loop"}),
                (Tag.APPROVAL_EXPIRED, {"state": "expired"}),
                (Tag.APPROVAL_EXPIRED, {"state": "expired", "actor": "ann"}),
            )
        ):
            await here.event(Tag.APPROVAL_REQUESTED, {"approval_id": f"t{number}", "session_id": "ses_1"})
            await here.event(tag, {"approval_id": f"t{number}", "session_id": "ses_1", **more})
        await here.follower.catch_up()
        asked = await SqlCounts(here.store).by_name(Count.APPROVAL, "hour", "2026", None)
        assert {one.name: one.count for one in asked} == {
            "requested": 5, "granted": 1, "denied": 1, "withdrawn": 1, "expired": 1,
        }  # fmt: skip
        assert tuple(sorted(WAITS)) == WAITS


async def test_minutes_of_long_ago_are_forgotten_and_hours_are_kept(database_url: str, clock: ManualClock) -> None:
    async with scene(database_url, clock) as here:
        await here.call("ses_1", tool="search")
        await here.follower.catch_up()
        await here.index.forget_minutes("2027-01-01T00:00")
        counts = SqlCounts(here.store)
        assert await counts.by_time(Count.TOOL, "minute", "2026", None) == []
        assert len(await counts.by_time(Count.TOOL, "hour", "2026", None)) == 1
