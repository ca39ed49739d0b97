"""The table of keys, on both databases."""

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import Session

from governance.audit.event import Draft, Receipt
from governance.identity.keys import Grant, KeyRole, KeyStore, mint
from governance.identity.store import SqlKeys
from governance.store import ConflictError, Store, open_store
from tests.conftest import ManualClock


class Ledger:
    """An audit log that keeps its events in memory and does what stands within in the same transaction."""

    def __init__(self, store: Store) -> None:
        self.drafts: list[Draft] = []
        self._store = store

    async def append(self, draft: Draft, within: Callable[[Session], Any] | None = None) -> Receipt:
        if within is not None:
            await self._store.write(within)
        self.drafts.append(draft)
        return Receipt(len(self.drafts), "")


@asynccontextmanager
async def opened(url: str, clock: ManualClock):
    async with open_store(url) as store:
        ledger = Ledger(store)
        keys: KeyStore = SqlKeys(store, ledger, clock)
        yield keys, ledger


async def test_a_key_comes_back_as_it_was_kept(database_url: str, clock: ManualClock):
    grant = Grant(
        KeyRole.APPROVER, "t", "x", "a", "u", ("gpt-*", "o'hara"), (), clock.now() + timedelta(days=1), "laptop"
    )
    made = mint(grant, clock.now())
    async with opened(database_url, clock) as (keys, ledger):
        await keys.add(made.key, actor="ann")
        assert await keys.all() == [made.key]
        (draft,) = ledger.drafts
        assert draft.tag == "key.created"
        assert draft.fields == {"key_id": made.key.id, "tenant_id": "t", "role": "approver", "actor": "ann"}
        assert made.token not in str(ledger.drafts)
        assert made.key.digest not in str(ledger.drafts)


async def test_a_key_is_revoked_once(database_url: str, clock: ManualClock):
    made = mint(Grant(), clock.now())
    async with opened(database_url, clock) as (keys, ledger):
        await keys.add(made.key, actor="ann")
        clock.advance(5)
        assert await keys.revoke(made.key.id, actor="ann")
        assert not await keys.revoke(made.key.id, actor="ann")
        assert not await keys.revoke("key_nobody", actor="ann")
        assert await keys.all() == [replace(made.key, revoked_at=clock.now())]
        assert [draft.tag for draft in ledger.drafts] == ["key.created", "key.revoked"]


async def test_a_key_is_replaced_whole_or_not_at_all(database_url: str, clock: ManualClock):
    one, two, three = (mint(Grant(), clock.now()) for _ in range(3))
    async with opened(database_url, clock) as (keys, ledger):
        await keys.add(one.key, actor="ann")
        assert await keys.replace(one.key.id, two.key, actor="ann")
        assert not await keys.replace(one.key.id, three.key, actor="ann")
        assert not await keys.replace("key_nobody", three.key, actor="ann")
        assert {key.id: bool(key.revoked_at) for key in await keys.all()} == {one.key.id: True, two.key.id: False}
        assert ledger.drafts[-1].fields["replaces"] == one.key.id


async def test_the_same_key_cannot_be_kept_twice(database_url: str, clock: ManualClock):
    made = mint(Grant(), clock.now())
    async with opened(database_url, clock) as (keys, _):
        await keys.add(made.key, actor="ann")
        with pytest.raises(ConflictError):
            await keys.add(replace(made.key, id="key_other"), actor="ann")
