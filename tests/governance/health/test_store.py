"""How servers are is told across processes, on both databases, and grows stale."""

from dataclasses import replace
from datetime import timedelta

from governance.clock import rfc3339
from governance.health.report import STALE_SECONDS, Report, current
from governance.health.store import KEPT, SqlHealth
from governance.store import open_store
from tests.conftest import ManualClock

FILES = Report("files", transport="stdio", state="failing", restarts=2, failures=3, last_error="it exited with 7")


async def test_what_a_process_says_is_read_by_others_as_it_was_said(database_url: str, clock: ManualClock) -> None:
    async with open_store(database_url) as store, open_store(database_url) as other:
        await SqlHealth(store, clock).say("one", [FILES, Report("web")])
        found = await SqlHealth(other, clock).all()
    now = rfc3339(clock.now())
    assert sorted(found, key=lambda one: one.server) == [
        replace(FILES, process="one", seen_at=now),
        Report("web", "one", seen_at=now),
    ]


async def test_each_process_has_rows_of_its_own_and_takes_back_only_those(
    database_url: str, clock: ManualClock
) -> None:
    async with open_store(database_url) as store:
        health = SqlHealth(store, clock)
        await health.say("one", [FILES])
        await health.say("two", [replace(FILES, state="ready")])
        await health.say("one", [replace(FILES, state="ready"), Report("web")])
        assert {(one.process, one.server, one.state) for one in await health.all()} == {
            ("one", "files", "ready"), ("one", "web", "unknown"), ("two", "files", "ready")
        }  # fmt: skip
        await health.say("one", [])
        assert [one.process for one in await health.all()] == ["two"]


async def test_the_last_words_of_a_process_that_was_killed_are_not_kept_for_ever(
    database_url: str, clock: ManualClock
) -> None:
    async with open_store(database_url) as store:
        health = SqlHealth(store, clock)
        await health.say("killed", [FILES])
        clock.advance(KEPT.total_seconds() + 1)
        await health.say("one", [])
        assert await health.all() == []


def said(clock: ManualClock, process: str, ago: float, **more: str) -> Report:
    seen = rfc3339(clock.now() - timedelta(seconds=ago))
    return replace(FILES, process=process, since=seen, seen_at=seen, **more)


def test_a_server_that_no_process_speaks_for_is_unknown_whatever_was_said_before(clock: ManualClock) -> None:
    (one,) = current([said(clock, "killed", STALE_SECONDS, state="ready")], ["files"], clock.now())
    assert (one.state, one.since, one.is_known) == ("unknown", "", False)
    assert (one.last_error, one.restarts) == ("it exited with 7", 2)
    (never,) = current([], ["files"], clock.now())
    assert (never.state, never.seen_at, never.is_known) == ("unknown", "", False)


def test_a_report_from_the_future_is_not_believed(clock: ManualClock) -> None:
    (one,) = current([said(clock, "one", -3600, state="ready")], ["files"], clock.now())
    assert one.state == "unknown"


def test_every_process_that_was_heard_of_just_now_speaks_and_no_other(clock: ManualClock) -> None:
    reports = [said(clock, "killed", 60), said(clock, "two", 1, state="ready"), said(clock, "one", 10)]
    found = current(
        [*reports, replace(FILES, server="gone", seen_at=rfc3339(clock.now()))], ["web", "files"], clock.now()
    )
    assert [(one.server, one.process, one.state) for one in found] == [
        ("web", "", "unknown"), ("files", "one", "failing"), ("files", "two", "ready")
    ]  # fmt: skip
