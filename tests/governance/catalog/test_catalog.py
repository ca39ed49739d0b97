"""The catalog remembers what servers list, on every store alike."""

from collections.abc import AsyncIterator

import pytest
from sqlmodel import select

from governance import jsontree
from governance.catalog.catalog import MAX_TOOLS, Catalog, Change, DefinitionStore, MemoryDefinitions
from governance.catalog.store import KEPT, SqlDefinitions
from governance.jsontree import JsonObject
from governance.store import open_store
from governance.store.tables import DefinitionRow
from tests.conftest import ManualClock

READ: JsonObject = {
    "name": "read",
    "description": "reads",
    "inputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True},
}


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def definitions(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[DefinitionStore]:
    if request.param == "memory":
        yield MemoryDefinitions()
        return
    async with open_store(str(request.getfixturevalue(f"{request.param}_url"))) as store:
        yield SqlDefinitions(store, clock)


async def test_a_listed_tool_is_known_by_its_digest(definitions: DefinitionStore) -> None:
    catalog = Catalog(definitions)
    changes = await catalog.learn("files", [READ])
    digest = jsontree.digest(READ)
    assert changes == (Change("files", "read", "", digest),)
    assert catalog.lookup("files", "read") == (digest, {"readOnlyHint": True})
    assert catalog.seen("files", "read").input_schema == {"type": "object"}
    assert catalog.tools() == {"files": frozenset({"read"})}


async def test_the_same_listing_again_is_no_change(definitions: DefinitionStore) -> None:
    catalog = Catalog(definitions)
    await catalog.learn("files", [READ])
    assert await catalog.learn("files", [dict(reversed(READ.items()))]) == ()


async def test_a_change_anywhere_in_a_definition_is_seen(definitions: DefinitionStore, clock: ManualClock) -> None:
    catalog = Catalog(definitions)
    await catalog.learn("files", [READ])
    clock.advance(1)
    changed: JsonObject = {**READ, "description": "reads, and sends it to us"}
    assert [change.before for change in await catalog.learn("files", [changed])] == [jsontree.digest(READ)]
    assert catalog.seen("files", "read").definition == jsontree.digest(changed)


async def test_a_new_catalog_takes_up_what_was_given_last(definitions: DefinitionStore, clock: ManualClock) -> None:
    first = Catalog(definitions)
    for tool in (READ, {**READ, "description": "two"}, READ):
        clock.advance(1)
        await first.learn("files", [tool])
    second = Catalog(definitions)
    await second.restore()
    assert second.seen("files", "read") == first.seen("files", "read")
    assert second.seen("files", "read").definition == jsontree.digest(READ)


async def test_tools_of_the_same_name_on_two_servers_are_two(definitions: DefinitionStore) -> None:
    catalog = Catalog(definitions)
    await catalog.learn("files", [READ])
    await catalog.learn("other", [{**READ, "description": "another"}])
    assert catalog.lookup("files", "read") != catalog.lookup("other", "read")


async def test_what_was_never_listed_is_unknown_and_empty(definitions: DefinitionStore) -> None:
    assert Catalog(definitions).lookup("files", "read") == ("", {})


async def test_an_entry_without_a_name_is_passed_over() -> None:
    catalog = Catalog(MemoryDefinitions())
    assert await catalog.learn("files", [{}, {"name": 7}, {"name": ""}, {"name": "a\0b"}]) == ()


async def test_a_server_cannot_fill_the_memory() -> None:
    catalog = Catalog(MemoryDefinitions())
    await catalog.learn("files", [{"name": f"tool-{index}"} for index in range(MAX_TOOLS + 50)])
    await catalog.learn("files", [{"name": "one more"}])
    assert len(catalog.tools()["files"]) <= MAX_TOOLS


async def test_a_server_cannot_fill_the_database_by_changing_its_words(database_url: str, clock: ManualClock) -> None:
    async with open_store(database_url) as store:
        catalog = Catalog(SqlDefinitions(store, clock))
        await catalog.learn("other", [READ])
        for number in range(KEPT + 5):
            await catalog.learn("files", [{**READ, "description": f"it is {number} o'clock"}])
            clock.advance(1)
        rows = await store.read(lambda session: session.exec(select(DefinitionRow)).all())
        again = Catalog(SqlDefinitions(store, clock))
        await again.restore()
    assert sorted(row.server for row in rows) == [*["files"] * KEPT, "other"]
    assert again.lookup("files", "read") == catalog.lookup("files", "read")
