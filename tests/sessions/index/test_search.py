"""Events are found by what they carry, newest first, page by page; nobody sees those of another tenant."""

import pytest

from governance.audit.event import Tag
from sessions.index.lists.wanted import FilterError
from sessions.index.search import store as searching
from sessions.index.search.store import SqlSearch
from sessions.index.search.wanted import Sought, sought_of
from tests.conftest import ManualClock
from tests.sessions.index.story import Scene, scene


async def story(here: Scene) -> None:
    """Events 0 to 7."""
    await here.call("s1", tool="search")  # 0, 1
    await here.call(
        "s2", tool="delete", decision="deny", rule="no-deletes", reason="deletes are refused", user="ann"
    )  # 2
    await here.call("s1", classification=["pii.email"])  # 3, 4
    await here.event(
        Tag.SESSION_KILLED, {"session_id": "s2", "scope": "session", "actor": "bob", "reason": "it loops"}
    )  # 5
    await here.call("s3", tool="search", tenant_id="globex", key_id="key_9", exchange_id="exc_9")  # 6, 7
    await here.follower.catch_up()


async def places(here: Scene, sought: Sought, tenant: str | None = None) -> list[int]:
    page = await SqlSearch(here.store).page(sought, tenant=tenant)
    return [one.seq for one in page.records]


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        (Sought(), [7, 6, 5, 4, 3, 2, 1, 0]),
        (Sought(session="s1"), [4, 3, 1, 0]),
        (Sought(exchange="exc_9"), [7, 6]),
        (Sought(tool="search"), [7, 6, 1, 0]),
        (Sought(tool="search", session="s1"), [1, 0]),
        (Sought(kind="exchange.admitted"), [6, 3, 0]),
        (Sought(kind="session.killed"), [5]),
        (Sought(verdict="deny"), [2]),
        (Sought(verdict="allow"), [7, 6, 4, 3, 1, 0]),
        (Sought(verdict="allow", kind="exchange.completed", tool="search"), [7, 1]),
        (Sought(rule="no-deletes"), [2]),
        (Sought(principal="bob"), [5]),
        (Sought(principal="ann"), [2]),
        (Sought(principal="key_9"), [7, 6]),
        (Sought(finding="pii.email"), [4, 3]),
        (Sought(model="opus"), [4, 3]),
        (Sought(text="LOOPS"), [5]),
        (Sought(text="are refused"), [2]),
        (Sought(text="exc_9"), [7, 6]),
        (Sought(text="s2"), [5, 2]),
        (Sought(text="s2", verdict="deny"), [2]),
        (Sought(since="2026-11-21T12:00:03.000000Z", until="2026-11-21T12:00:06.000000Z"), [5, 4, 3]),
        (Sought(since="2026-11-21T12:00:03.000000Z", tool="search"), [7, 6]),
        (Sought(since="2030-01-01T00:00:00.000000Z"), []),
        (Sought(until="2020-01-01T00:00:00.000000Z"), []),
        (Sought(tool="never"), []),
    ],
    ids=str,
)
async def test_events_are_found_by_what_they_carry(
    database_url: str, clock: ManualClock, sought: Sought, found: list[int]
) -> None:
    async with scene(database_url, clock) as here:
        await story(here)
        assert await places(here, sought) == found


async def test_a_tenant_finds_its_own_events_only(database_url: str, clock: ManualClock) -> None:
    async with scene(database_url, clock) as here:
        await story(here)
        assert await places(here, Sought(), "globex") == [7, 6]
        for sought in (Sought(session="s1"), Sought(text="s2"), Sought(tool="delete"), Sought(verdict="deny")):
            assert await places(here, sought, "globex") == []
        assert await places(here, Sought(), "nobody") == []


async def test_pages_miss_nothing_and_a_search_says_how_far_it_got(
    database_url: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "CHUNK", 5)
    async with scene(database_url, clock) as here:
        for number in range(30):
            await here.call("s1", tool="search" if number else "rare")
        await here.follower.catch_up()
        search, seen, before = SqlSearch(here.store), list[int](), None
        while True:
            page = await search.page(Sought(tool="search"), before=before, limit=7)
            seen += [one.seq for one in page.records]
            if page.next is None:
                break
            before = page.next
        assert seen == list(range(59, 1, -1))
        monkeypatch.setattr(searching, "MOST_LOOKED_AT", 20)
        page = await search.page(Sought(verdict="allow", session="s1", kind="exchange.refused"))
        assert (page.records, page.next, page.looked_back_to) == ((), 40, 40)


@pytest.mark.parametrize("asked", [{"kind": "tea"}, {"verdict": "maybe"}, {"since": "soon"}])
def test_a_filter_that_is_none_is_refused_in_our_words(asked: dict[str, str]) -> None:
    with pytest.raises(FilterError, match=r"^`"):
        sought_of(asked)


def test_addresses_that_people_kept_still_work() -> None:
    assert sought_of({"tag": "session.killed", "key": "key_1"}) == Sought(kind="session.killed", principal="key_1")
