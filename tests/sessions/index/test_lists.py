"""Sessions are found by what they carry and how they are, page by page, in an order that never changes."""

from dataclasses import replace

import pytest

from governance.audit.event import Tag
from governance.clock import rfc3339
from governance.store.tables import TicketRow
from sessions.index.lists import store as listing
from sessions.index.lists.store import SqlLists
from sessions.index.lists.told import COLUMNS, cells, told
from sessions.index.lists.wanted import IDLE, FilterError, State, Wanted, wanted_of
from sessions.killswitch import InForce, Kill, Scope
from tests.conftest import ManualClock
from tests.sessions.index.story import Scene, scene


async def ids(here: Scene, wanted: Wanted, kills: InForce | None = None, **more: str | None) -> list[str]:
    await here.follower.catch_up()
    page = await SqlLists(here.store).page(wanted, kills or {}, here.clock.now(), tenant=more.get("tenant"))
    return [one.run.id for one in page.sessions]


async def three(here: Scene) -> None:
    """Three sessions: of the second a call is denied, and a person is asked; the third is of another tenant."""
    await here.run("s1")
    await here.call("s1", tool="search", classification=["pii.email"], labels_set=["untrusted_content: server:web"])
    await here.run("s2", agent="codex", parent="s1")
    await here.call("s2", tool="delete", decision="deny", rule="no-deletes", agent="codex", user="ann")
    await here.event(Tag.APPROVAL_REQUESTED, {"approval_id": "t1", "session_id": "s2", "tenant_id": "acme"})
    await here.run("s3", tenant="globex")
    await here.call("s3", tenant_id="globex", key_id="key_9")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), ["s3", "s2", "s1"]),
        (Wanted(agent="codex"), ["s2"]),
        (Wanted(tool="search"), ["s1"]),
        (Wanted(server="web"), ["s2", "s1"]),
        (Wanted(model="opus"), ["s3"]),
        (Wanted(label="untrusted_content"), ["s1"]),
        (Wanted(finding="any"), ["s1"]),
        (Wanted(finding="pii.email"), ["s1"]),
        (Wanted(approvals=True), ["s2"]),
        (Wanted(verdict="deny"), ["s2"]),
        (Wanted(principal="key_9"), ["s3"]),
        (Wanted(principal="ann"), ["s2"]),
        (Wanted(tenant="globex"), ["s3"]),
        (Wanted(tenant="globex", tool="search"), []),
        (Wanted(text="DELET"), ["s2"]),
        (Wanted(text="no-del", agent="codex"), ["s2"]),
        (Wanted(text="of-s3"), ["s3"]),
        (Wanted(text="s1"), ["s1"]),
        (Wanted(text="100%"), []),
        (Wanted(tool="never"), []),
    ],
    ids=str,
)
async def test_sessions_are_found_by_what_they_carry(
    database_url: str, clock: ManualClock, wanted: Wanted, found: list[str]
) -> None:
    async with scene(database_url, clock) as here:
        await three(here)
        assert await ids(here, wanted) == found


async def test_a_tenant_sees_its_own_sessions_whatever_it_asks_for(database_url: str, clock: ManualClock) -> None:
    async with scene(database_url, clock) as here:
        await three(here)
        assert await ids(here, Wanted(), tenant="globex") == ["s3"]
        for wanted in (Wanted(tool="search"), Wanted(text="s1"), Wanted(tenant="acme"), Wanted(state="active")):
            assert set(await ids(here, wanted, tenant="globex")) <= {"s3"}


async def test_sessions_are_found_by_how_they_are(database_url: str, clock: ManualClock) -> None:
    async with scene(database_url, clock) as here:
        await three(here)
        here.clock.advance(IDLE.total_seconds() + 60)
        await here.run("s4")
        await here.run("s5")
        now = rfc3339(here.clock.now())
        row = TicketRow(
            id="t9", digest="d", state="pending", action="tool.call", key_id="key_1", session_id="s5", form="{}",
            created_at=now, expires_at=now,
        )  # fmt: skip
        await here.store.write(lambda session: session.add(row))
        kill = Kill(Scope.SESSION, "s2", "it loops", "ann", now, 1)
        kills: InForce = {(Scope.SESSION, "s2"): kill}
        states = {state: await ids(here, Wanted(state=state), kills) for state in State}
        assert states == {
            State.KILLED: ["s2"], State.PROBATION: [], State.WAITING: ["s5"], State.ACTIVE: ["s4"],
            State.ENDED: ["s3", "s1"],
        }  # fmt: skip
        wide: InForce = {(Scope.KEY, "key_9"): replace(kill, scope=Scope.KEY, target="key_9", probation=True)}
        assert await ids(here, Wanted(state="probation"), wide) == []  # the key of the row is `key_1`
        everything: InForce = {(Scope.ALL, ""): replace(kill, scope=Scope.ALL, target="")}
        assert len(await ids(here, Wanted(state="killed"), everything)) == 5


@pytest.mark.parametrize(
    "wanted", [Wanted(), Wanted(tool="search"), Wanted(text="search"), Wanted(state="active")], ids=str
)
async def test_pages_show_each_session_once_and_miss_none(
    database_url: str, clock: ManualClock, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "CHUNK", 4)
    async with scene(database_url, clock) as here:
        for number in range(11):
            await here.run(f"s{number:02}")
            await here.call(f"s{number:02}", tool="search" if number != 5 else "other")
        await here.follower.catch_up()
        lists, seen, before = SqlLists(here.store), list[str](), ""
        while True:
            page = await lists.page(wanted, {}, here.clock.now(), before=before, limit=3)
            seen += [one.run.id for one in page.sessions]
            if not seen[3:]:
                await here.run("s99")  # what begins meanwhile is newer than all pages to come
            if not page.next:
                break
            before = page.next
        fitting = [f"s{number:02}" for number in reversed(range(11)) if number != 5 or not (wanted.tool or wanted.text)]
        assert seen == fitting


async def test_a_search_that_looked_at_enough_says_how_far_it_got(
    sqlite_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "CHUNK", 4)
    monkeypatch.setattr(listing, "MOST_LOOKED_AT", 8)
    async with scene(sqlite_url, clock) as here:
        for number in range(20):
            await here.run(f"s{number:02}")
            await here.call(f"s{number:02}", tool="both" if number == 0 else "search")
            await here.call(f"s{number:02}", tool="other" if number else "search")
        await here.call("s00", tool="other")
        await here.follower.catch_up()
        lists, wanted = SqlLists(here.store), Wanted(tool="other", text="other", state="killed")
        kills: InForce = {(Scope.TENANT, "acme"): Kill(Scope.TENANT, "acme", "", "", "", 1, probation=True)}
        page = await lists.page(replace(wanted, state="ended"), kills, here.clock.now())
        assert page.sessions == ()
        assert page.looked_back_to
        looks = 1
        while page.next:
            page, looks = (
                await lists.page(replace(wanted, state="ended"), kills, here.clock.now(), before=page.next),
                looks + 1,
            )
        assert looks == 3


async def test_a_session_is_told_with_all_that_it_came_to(database_url: str, clock: ManualClock) -> None:
    async with scene(database_url, clock) as here:
        await three(here)
        await here.run("part")
        await here.call("part", tool="early", cost_usd="0.5", input_tokens=7)
        await here.runs.join("part", "s2")
        await here.follower.catch_up()
        page = await SqlLists(here.store).page(Wanted(text="s2"), {}, here.clock.now())
        one = told(page.sessions[0])
        assert (one["calls"], one["tool_calls"], one["approvals"], one["parent_id"]) == (2, 2, 1, "s1")
        assert one["tools"] == ["early", "delete"]
        assert one["verdicts"] == {"allow": 1, "deny": 1}
        assert await ids(here, Wanted()) == ["s3", "s2", "s1"]


async def test_what_an_agent_is_called_is_no_formula_in_a_spreadsheet(sqlite_url: str, clock: ManualClock) -> None:
    async with scene(sqlite_url, clock) as here:
        await here.run("s1", agent="=HYPERLINK(1)")
        await here.call("s1", tool="search")
        await here.follower.catch_up()
        (one,) = (await SqlLists(here.store).page(Wanted(), {}, here.clock.now())).sessions
        assert dict(zip(COLUMNS, cells(one), strict=True))["agent"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("asked", [{"state": "sleeping"}, {"since": "yesterday"}, {"until": "2026-13-01"}])
def test_a_filter_that_is_none_is_refused_in_our_words(asked: dict[str, str]) -> None:
    with pytest.raises(FilterError, match=r"`(state` is one of|yesterday|2026-13-01)"):
        wanted_of(asked)


def test_times_are_taken_as_browsers_write_them() -> None:
    assert wanted_of({"since": "2026-11-21T12:00"}).since == "2026-11-21T12:00:00.000000Z"
    assert wanted_of({"until": "2026-11-21T12:00+02:00"}).until == "2026-11-21T10:00:00.000000Z"
