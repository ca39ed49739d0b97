"""An open log on each database."""

from collections.abc import AsyncIterator

import pytest

from governance.audit.log import Journal
from governance.store import Store, open_store
from tests.conftest import ManualClock
from tests.governance.audit.appender import MASTER


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as opened:
        yield opened


@pytest.fixture
def journal(store: Store, clock: ManualClock) -> Journal:
    return Journal(store, MASTER, clock, writer="gateway")
