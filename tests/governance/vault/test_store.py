"""What upstream servers granted: kept sealed, with a record, and renewed by one process at a time."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple

import pytest
from sqlmodel import Session, select

from governance.audit.log import Journal
from governance.seal import SealError
from governance.store import Store, open_store
from governance.store.tables import EventRow, GrantRow
from governance.vault.store import SqlVault
from tests.conftest import ManualClock

MASTER = bytes(range(32))
SECRET = b'{"refresh_token": "canary-of-these-tests"}'


class Place(NamedTuple):
    vault: SqlVault
    store: Store
    audit: Journal
    clock: ManualClock

    async def rows(self) -> str:
        """Everything that the database holds about grants and events, as text."""

        def work(session: Session) -> str:
            return repr([*session.exec(select(GrantRow)).all(), *session.exec(select(EventRow)).all()])

        return await self.store.read(work)


@asynccontextmanager
async def opened(url: str, clock: ManualClock) -> AsyncGenerator[Place]:
    async with open_store(url) as store:
        audit = Journal(store, MASTER, clock, writer="test")
        yield Place(SqlVault(store, audit, clock, MASTER), store, audit, clock)


async def test_a_sign_in_is_kept_sealed_and_recorded(database_url: str, clock: ManualClock):
    async with opened(database_url, clock) as place:
        assert await place.vault.load("files") is None
        await place.vault.sign_in("files", SECRET, actor="cli:ann")
        kept = await place.vault.load("files")
        assert kept is not None
        assert kept.secret == SECRET
        rows = await place.rows()
        assert "canary" not in rows + repr(kept)
        assert "server.signed_in" in rows
        assert "cli:ann" in rows


async def test_another_sign_in_takes_the_place_of_the_first(database_url: str, clock: ManualClock):
    async with opened(database_url, clock) as place:
        await place.vault.sign_in("files", b"one", actor="ann")
        await place.vault.sign_in("files", b"two", actor="ann")
        kept = await place.vault.load("files")
        assert kept is not None
        assert kept.secret == b"two"


async def test_a_renewal_succeeds_only_what_it_renewed(database_url: str, clock: ManualClock):
    async with opened(database_url, clock) as place:
        await place.vault.sign_in("files", b"one", actor="ann")
        one = await place.vault.load("files")
        assert one is not None
        assert await place.vault.renew("files", b"two", after=one.version)
        assert not await place.vault.renew("files", b"late", after=one.version)
        kept = await place.vault.load("files")
        assert kept is not None
        assert kept.secret == b"two"


async def claimed(place: Place, clock: ManualClock, after: str = "") -> str:
    """A claim for a minute, on what is kept unless another version is named."""
    kept = await place.vault.load("files")
    version = after or (kept.version if kept is not None else "none")
    return await place.vault.claim("files", clock.now() + timedelta(seconds=60), after=version)


async def test_one_process_renews_at_a_time(database_url: str, clock: ManualClock):
    async with opened(database_url, clock) as one, opened(database_url, clock) as other:
        assert not await claimed(one, clock)
        await one.vault.sign_in("files", SECRET, actor="ann")
        claim = await claimed(one, clock)
        assert claim
        assert not await claimed(other, clock)
        await one.vault.release("files", claim)
        assert await claimed(other, clock)
        clock.advance(61)
        assert await claimed(one, clock)
        kept = await one.vault.load("files")
        assert kept is not None
        assert await one.vault.renew("files", b"two", after=kept.version)
        assert not await claimed(other, clock, after=kept.version), "it was renewed since it was looked at"
        assert await claimed(other, clock)


async def test_a_process_releases_only_what_it_claimed(database_url: str, clock: ManualClock):
    async with opened(database_url, clock) as one, opened(database_url, clock) as other:
        await one.vault.sign_in("files", SECRET, actor="ann")
        late = await claimed(one, clock)
        clock.advance(61)
        assert await claimed(other, clock)
        await one.vault.release("files", late)
        assert not await claimed(one, clock)


async def test_what_is_forgotten_is_gone_and_recorded_once(database_url: str, clock: ManualClock):
    async with opened(database_url, clock) as place:
        await place.vault.sign_in("files", SECRET, actor="ann")
        assert await place.vault.forget("files", actor="ann")
        assert not await place.vault.forget("files", actor="ann")
        assert await place.vault.load("files") is None
        assert (await place.rows()).count("event_type='server.signed_out'") == 1


async def test_another_master_key_opens_nothing(sqlite_url: str, clock: ManualClock):
    async with opened(sqlite_url, clock) as place:
        await place.vault.sign_in("files", SECRET, actor="ann")
        with pytest.raises(SealError):
            await SqlVault(place.store, place.audit, clock, bytes(32)).load("files")
