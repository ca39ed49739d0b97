"""A receiver, an endpoint that is one, and a desk that tells it."""

from collections.abc import Iterator

import pytest

from approvals.desk import Desk, Manners
from approvals.store import SqlTickets
from approvals.webhook.courier import Courier
from approvals.webhook.endpoint import Endpoint
from approvals.webhook.message import Announcer, new_secret, secret_key
from approvals.webhook.store import SqlDeliveries
from governance.store import Store
from tests.approvals.ledger import Ledger
from tests.approvals.webhook.receiver import Receiver, on_loopback, receiving
from tests.conftest import ManualClock


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as open_receiver:
        yield open_receiver


@pytest.fixture
def secret() -> str:
    return new_secret()


@pytest.fixture
def endpoint(receiver: Receiver, secret: str) -> Endpoint:
    return Endpoint(receiver.url, secret_key(secret), allow_private=("receiver.test",))


@pytest.fixture
def desk(store: Store, ledger: Ledger, endpoint: Endpoint, clock: ManualClock) -> Desk:
    tickets = SqlTickets(store, ledger, Announcer([endpoint], "http://127.0.0.1:8080"))
    return Desk(tickets, clock, Manners(wait_seconds=0))


@pytest.fixture
def courier(store: Store, endpoint: Endpoint, clock: ManualClock) -> Courier:
    return Courier(SqlDeliveries(store), [endpoint], clock, resolver=on_loopback)
