"""What a client carries of a suspended call cannot be read, changed, lent or kept."""

from typing import Any

import pytest

from governance.jsontree import Json
from mcp_proxy.bridge.replies import request
from mcp_proxy.bridge.request_state import States
from tests.conftest import ManualClock

ANN = ("key-ann", "default", "")
BEN = ("key-ben", "default", "")
KEY = bytes(range(32))


def called(name: str = "pay", **params: Json) -> Any:
    return request(1, "tools/call", {"name": name, "arguments": {"amount": 1}, **params})


@pytest.fixture
def states(clock: ManualClock) -> States:
    return States(KEY, "bank", clock, 300)


def test_a_state_opens_for_the_same_request_with_other_answers(states: States) -> None:
    state = states.seal("handle", ANN, called(_meta={"progressToken": 1}))
    again = called(_meta={}, inputResponses={"a": {}}, requestState=state)
    assert states.open(state, ANN, again) == "handle"
    assert "handle" not in state


@pytest.mark.parametrize(
    "other",
    [
        called("refund"),
        called(arguments={"amount": 2}),
        called(arguments={"amount": 1.5}),
        called(vendor=True),
        request(1, "prompts/get", {"name": "pay", "arguments": {"amount": 1}}),
    ],
)
def test_a_state_does_not_open_for_another_request(states: States, other: Any) -> None:
    assert states.open(states.seal("handle", ANN, called()), ANN, other) is None


@pytest.mark.parametrize("owner", [BEN, ("key-ann", "other", ""), ("key-ann", "default", "ben")])
def test_a_state_does_not_open_for_another_principal(states: States, owner: Any) -> None:
    assert states.open(states.seal("handle", ANN, called()), owner, called()) is None


@pytest.mark.parametrize("state", [None, 1, "", "v1.", "v1.AAAA", "ü", {"a": 1}])
def test_what_is_not_sealed_does_not_open(states: States, state: Any) -> None:
    assert states.open(state, ANN, called()) is None


def test_a_state_of_another_key_or_server_does_not_open(states: States, clock: ManualClock) -> None:
    state = states.seal("handle", ANN, called())
    assert States(bytes(32), "bank", clock, 300).open(state, ANN, called()) is None
    assert States(KEY, "shop", clock, 300).open(state, ANN, called()) is None


def test_a_state_expires(states: States, clock: ManualClock) -> None:
    state = states.seal("handle", ANN, called())
    clock.advance(299)
    assert states.open(state, ANN, called()) == "handle"
    clock.advance(1)
    assert states.open(state, ANN, called()) is None
