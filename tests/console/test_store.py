"""People, sign-ins, pages and kept answers, on both databases."""

from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import pytest

from console.people import Person
from console.store import SqlLogins, SqlPeople, last_used
from console.v1.store import Answers, Kept, Pages, Runs
from governance.identity.keys import KeyRole
from tests.approvals.calls import tool_call
from tests.conftest import ManualClock
from tests.console.core import Core, open_core

ANN = Person("per_1", "https://idp.test", "s-1", "ann", KeyRole.APPROVER, "acme", "core", "t")


@pytest.fixture
async def core(database_url: str, clock: ManualClock) -> AsyncIterator[Core]:
    async with open_core(database_url, clock) as opened:
        yield opened


async def session(core: Core, name: str, subject: str) -> None:
    now = core.clock.now()
    await SqlLogins(core.store).add(name, kind="session", subject=subject, now=now, expires_at=now.replace(year=2030))


async def test_somebody_who_is_something_else_loses_every_session(core: Core) -> None:
    people, logins = SqlPeople(core.store, core.audit, core.clock), SqlLogins(core.store)
    assert await people.came(ANN)
    await session(core, "a", "per_1")
    await session(core, "b", "per_2")
    assert await people.came(ANN)
    assert await logins.session("a", core.clock.now()) == "per_1"
    for changed in (
        replace(ANN, role=KeyRole.VIEWER),
        replace(ANN, role=KeyRole.VIEWER, tenant="other"),
        replace(ANN, role=KeyRole.VIEWER, tenant="other", terms="t2"),
    ):
        await session(core, changed.terms + changed.tenant, "per_1")
        assert await people.came(changed)
        assert await logins.session(changed.terms + changed.tenant, core.clock.now()) is None
    assert await logins.session("b", core.clock.now()) == "per_2"
    found = await people.get("per_1")
    assert found is not None
    assert (found.role, found.tenant, found.created_at) == (KeyRole.VIEWER, "other", found.signed_in_at)


async def test_somebody_who_is_shut_out_cannot_come_until_restored(core: Core) -> None:
    people = SqlPeople(core.store, core.audit, core.clock)
    assert not await people.revoke("per_1", actor="t", reason="r")
    assert await people.came(ANN)
    await session(core, "a", "per_1")
    assert await people.revoke("per_1", actor="t", reason="r")
    assert await SqlLogins(core.store).session("a", core.clock.now()) is None
    assert not await people.revoke("per_1", actor="t", reason="r")
    assert not await people.came(ANN)
    assert await people.restore("per_1", actor="t", reason="r")
    assert not await people.restore("per_1", actor="t", reason="r")
    assert await people.came(ANN)


async def test_of_many_who_bring_one_answer_back_one_comes_in(core: Core) -> None:
    logins, came = SqlLogins(core.store), list[bool]()

    async def once() -> None:
        came.append(await logins.once("state", core.clock.now(), 600))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(once)
    assert came.count(True) == 1


async def test_pages_are_turned_by_place_and_filtered(core: Core) -> None:
    for number in range(5):
        await core.seen(f"ses_{number}", tenant="acme" if number % 2 else "other")
        await core.hold(tool_call({"path": str(number)}))
    pages = Pages(core.store)
    # All were seen in the same moment, so only their ids tell them apart.
    whole = await pages.runs(Runs(), None, 10)
    first = await pages.runs(Runs(), None, 2)
    rest = await pages.runs(Runs(), (first[-1].last_seen, first[-1].id), 10)
    assert [one.id for one in (*first, *rest)] == [one.id for one in whole] == [f"ses_{n}" for n in range(5)]
    assert [one.id for one in await pages.runs(Runs(tenant="acme"), None, 10)] == ["ses_1", "ses_3"]
    assert await pages.runs(Runs(agent="nobody"), None, 10) == []
    tickets = await pages.tickets("acme", "pending", None, 10)
    begin = await pages.tickets("acme", "pending", None, 2)
    assert [*begin, *await pages.tickets("acme", "", (begin[-1][1], begin[-1][0]), 10)] == tickets
    assert (len(tickets), await pages.tickets("other", "", None, 10)) == (5, [])
    assert list(await last_used(core.store)) == ["key_1"]


async def test_a_request_is_answered_by_one_and_kept_for_a_day(core: Core) -> None:
    answers, now = Answers(core.store), core.clock.now()
    assert await answers.begin("n", "r", now) is None
    assert await answers.begin("n", "r", now) == Kept("r", 0, "")
    await answers.end("n", 200, "{}")
    assert await answers.begin("n", "other", now) == Kept("r", 200, "{}")
    await answers.begin("m", "r", now)
    await answers.end("m", 422, "")
    assert await answers.begin("m", "r", now) is None
    core.clock.advance(61)
    # Whoever took it up died with it: it is another's to answer now.
    assert await answers.begin("m", "r", core.clock.now()) is None
    core.clock.advance(24 * 3600)
    assert await answers.begin("n", "r", core.clock.now()) is None
