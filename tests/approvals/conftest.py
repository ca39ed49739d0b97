"""A desk on each kind of database, with the audit events it wrote."""

from collections.abc import AsyncIterator

import pytest

from approvals.desk import Desk, Manners
from approvals.store import SqlTickets
from governance.store import Store, open_store
from tests.approvals.ledger import Ledger
from tests.conftest import ManualClock


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as opened:
        yield opened


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)


@pytest.fixture
def tickets(store: Store, ledger: Ledger) -> SqlTickets:
    return SqlTickets(store, ledger)


@pytest.fixture
def desk(tickets: SqlTickets, clock: ManualClock) -> Desk:
    """A desk at which a call does not wait unless the test says so."""
    return Desk(tickets, clock, Manners(wait_seconds=0, base_url="http://127.0.0.1:8080"))
